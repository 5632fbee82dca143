"""``kinebackup demo``: the whole job on invented files and two simulated drives, each step a real command.

Owns: the order of the play, and that each command ends as it should. Does not know: what the commands do.

The play has a configuration, a state and a home of its own: nothing of this computer's KineBackup is read or changed.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

from kinebackup.cli.commands import demo_practice
from kinebackup.cli.session import Session, pass_session
from kinebackup.cli.terminal.output import printable
from kinebackup.cli.terminal.words import duration_text, size_text
from kinebackup.errors import CheckFailed, ConfigError, ExitCode, KineError
from kinebackup.i18n import _, language_from, ngettext

DOCUMENTS = "Documents"
NEAR, AWAY = "CABINET", "MAISON"
LOST_PATIENT = 7
_PASSPHRASE = "phrase d'exemple, pour la démonstration seulement"  # noqa: S105 - opens invented files only


@dataclass(frozen=True, slots=True)
class PlayedStep:
    """One command of the play."""

    command: str
    exit_code: int
    output: str


@dataclass(frozen=True, slots=True)
class DemoDocument:
    steps: tuple[PlayedStep, ...]
    files_compared: int
    duration_s: float
    kept: str | None


@dataclass
class Stage:
    """The folder where all of it happens, and what has been played so far."""

    folder: Path
    session: Session
    steps: list[PlayedStep] = field(default_factory=list)
    packs_of_first_backup: set[Path] = field(default_factory=set)

    @property
    def documents(self) -> Path:
        return self.folder / DOCUMENTS

    def tell(self, text: str) -> None:
        """What happens next, or happened meanwhile."""
        width = min(100, shutil.get_terminal_size().columns) - len("# ") if sys.stdout.isatty() else len(text)
        lines = [short for line in text.split("\n") for short in textwrap.wrap(line, width)]
        self._show("\n" + "\n".join(f"# {line}" for line in lines), fg="cyan")

    def run(self, *arguments: str, ends_with: ExitCode = ExitCode.OK) -> str:
        """Play one command; returns what it printed. Raises ``CheckFailed`` where it ends otherwise than it should."""
        self.session.cancel.check()
        command = shlex.join(["kinebackup", *arguments])
        self._show(f"\n$ {command}", bold=True)
        done = subprocess.run(  # noqa: S603 - this very program, with arguments of this file
            [sys.executable, "-m", "kinebackup", *arguments],
            cwd=self.folder,
            env=_environment(self.folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        output = done.stdout.decode("utf-8", "replace").rstrip("\n")
        self.steps.append(PlayedStep(command, done.returncode, output))
        self._show(output)
        self.session.cancel.check()
        if done.returncode != ends_with:
            raise CheckFailed(
                _("“{command}” ended with {code} instead of {expected}").format(
                    command=command, code=done.returncode, expected=int(ends_with)
                ),
                _("this is a defect of KineBackup, or this computer lacks something; what was printed says which"),
            )
        if ends_with != ExitCode.OK:
            self._show(_("(exit code {code}, as it should be)").format(code=done.returncode), fg="cyan")
        return output

    def _show(self, text: str, *, fg: str | None = None, bold: bool = False) -> None:
        if not self.session.output.as_json and not self.session.output.quiet:
            click.echo(click.style(printable(text), fg=fg, bold=bold))


@click.command(help=_("Play the whole job on invented files, with two simulated drives in a temporary folder."))
@click.option(
    "--keep", metavar="DIR", type=click.Path(path_type=Path), help=_("Play in DIR, and leave all of it there.")
)
@pass_session
def demo(session: Session, keep: Path | None) -> None:
    began = time.monotonic()
    with _folder(keep) as folder:
        stage = Stage(folder, session)
        compared = _play(stage)
    took = time.monotonic() - began
    kept = str(folder) if keep else None
    document = DemoDocument(tuple(stage.steps), compared, round(took, 1), kept)
    session.output.result(document, lambda: _last_words(document))


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """An empty private folder: that of the person, or a temporary one."""
    if keep is None:
        temporary = Path(tempfile.mkdtemp(prefix="kinebackup-demo-")).resolve()
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return
    try:
        keep.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_empty = next(keep.iterdir(), None) is None
    except OSError as error:
        raise ConfigError(
            _("the folder {path} cannot be used ({reason})").format(path=keep, reason=error.strerror),
            _("name an empty folder, or one to be made"),
        ) from None
    if not is_empty:
        raise ConfigError(_("the folder {path} is not empty").format(path=keep), _("name another one with --keep"))
    yield keep.resolve()


def _environment(folder: Path) -> dict[str, str]:
    """The person's, without what leads to their own KineBackup."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("KINEBACKUP", "_KINEBACKUP"))}
    private = folder / ".private"
    return own | {
        "HOME": str(private),
        "XDG_CONFIG_HOME": str(private / "config"),
        "XDG_STATE_HOME": str(private / "state"),
        "XDG_CACHE_HOME": str(private / "cache"),
        "KINEBACKUP_CONFIG": str(folder / "config.toml"),
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",  # errors and results keep their order
    }


# -- the play --------------------------------------------------------------------------------------------------------


def _play(stage: Stage) -> int:
    """The whole job; returns how many restored files were compared with their originals."""
    _set_the_stage(stage)
    stage.run("init", "--passphrase-file", "passphrase.txt", "--recovery-code-file", "code.txt")
    _enroll_and_save(stage)
    _save_a_day_of_work(stage)
    compared = _lose_and_restore(stage)
    stage.tell(
        _("Is that certain? Files are really restored and compared, as on a new computer that has only the passphrase.")
    )
    stage.run("restore-test", "--drive", NEAR, "--passphrase-file", "passphrase.txt")
    _damage_and_heal(stage)
    stage.tell(_("Where the practice stands: one sentence, then the drives."))
    stage.run("status")
    return compared


def _set_the_stage(stage: Stage) -> None:
    stage.documents.mkdir()
    demo_practice.make_practice(stage.documents)
    count = len(demo_practice.contents(stage.documents))
    size = size_text(demo_practice.size_bytes(stage.documents))
    stage.tell(_("A practice that does not exist: {count} invented files, {size}.").format(count=count, size=size))
    private = stage.folder / ".private"
    private.mkdir(mode=0o700)
    (stage.folder / "config.toml").write_text(
        f'[practice]\nname = "Cabinet inventé"\nlanguage = "{language_from(os.environ)}"\n\n'
        f"[paths]\nstate = {_quoted(private / 'state')}\ncache = {_quoted(private / 'cache')}\n"
        f"runtime = {_quoted(private / 'run')}\n\n[[sources]]\npath = {_quoted(stage.documents)}\n",
        encoding="utf-8",
    )
    fd = os.open(stage.folder / "passphrase.txt", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(f"{_PASSPHRASE}\n")


def _quoted(path: Path) -> str:
    """A path as a TOML string."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _enroll_and_save(stage: Stage) -> None:
    stage.tell(_("Two drives: one stays at the practice, one at home. Here they are two folders."))
    for label, place in ((NEAR, "cabinet"), (AWAY, "domicile")):
        (stage.folder / f"disque-{label}").mkdir()
        stage.run("drive", "enroll", "--folder", f"disque-{label}", "--label", label, "--place", place)
    stage.tell(_("The first backup, to each drive."))
    for label in (NEAR, AWAY):
        stage.run("backup", "--drive", label)


def _save_a_day_of_work(stage: Stage) -> None:
    stage.packs_of_first_backup = set(_packs(stage))
    demo_practice.work_a_day(stage.documents)
    stage.tell(_("A day of work later, files are new, changed, renamed and removed. Only the difference is saved."))
    stage.run("backup", "--drive", NEAR)
    stage.run("snapshots", "--drive", NEAR)
    first = stage.steps[-1].output.split("\n")[1].split()[0]
    stage.run("diff", first, "latest", "--drive", NEAR)


def _lose_and_restore(stage: Stage) -> int:
    lost = demo_practice.patient(stage.documents, LOST_PATIENT)
    original = demo_practice.contents(stage.documents)
    shutil.rmtree(lost)
    stage.tell(_("The folder {name} is deleted by mistake. It is in the backup.").format(name=lost.name))
    stage.run("find", lost.name, "--drive", NEAR)
    inside = str(lost.relative_to(stage.documents))
    part, whole = _("restored"), _("everything")
    stage.run("restore", "latest", inside, "--to", part, "--drive", NEAR)
    restored = stage.folder / part / str(stage.documents).lstrip("/")
    shutil.copytree(restored / inside, lost)
    stage.tell(
        _(
            "It is put back. Now everything is restored, as on a new computer "
            "that has only the drive and the recovery code."
        )
    )
    stage.run("restore", "latest", "--to", whole, "--drive", f"disque-{NEAR}", "--recovery-code-file", "code.txt")
    found = demo_practice.contents(stage.folder / whole / str(stage.documents).lstrip("/"))
    differing = sorted(name for name in original.keys() | found.keys() if original.get(name) != found.get(name))
    if differing:
        raise CheckFailed(
            _("{count} restored files are not what was saved, for example {name}").format(
                count=len(differing), name=differing[0]
            ),
            _("this is a defect of KineBackup: please report it"),
        )
    stage.tell(
        ngettext(
            "{count} restored file compared with its original: the same bytes, the same time.",
            "{count} restored files compared with their originals: the same bytes, the same times.",
            len(found),
        ).format(count=len(found))
    )
    return len(found)


def _packs(stage: Stage) -> list[Path]:
    return list((stage.folder / f"disque-{NEAR}" / "KINEBACKUP" / "packs").glob("*/*"))


def _damage_and_heal(stage: Stage) -> None:
    # What the second backup wrote is all still on the computer; of the first one, changed files have only the drive's
    # copy.
    fresh = set(_packs(stage)) - stage.packs_of_first_backup
    victim = max(fresh, key=lambda path: path.stat().st_size, default=None)
    if victim is None:
        raise KineError(_("the drive holds no file to damage"))
    with victim.open("r+b") as file:
        file.seek(victim.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    stage.tell(
        _("Drives age: here one file on the drive is damaged on purpose ({file}). Verifying finds it.").format(
            file=f"packs/{victim.parent.name}/{victim.name[:11]}…"
        )
    )
    stage.run("verify", "--drive", NEAR, "--full", ends_with=ExitCode.CHECK_FAILED)
    stage.tell(
        _("The drive carries what mends it, and the next backup does. Old backups are thinned as on any other day.")
    )
    stage.run("backup", "--drive", NEAR)
    stage.run("prune", "--drive", NEAR)
    stage.run("verify", "--drive", NEAR, "--full")


def _last_words(document: DemoDocument) -> str:
    count = len(document.steps)
    text = ngettext(
        "{count} command, each as it should be, in {duration}.",
        "{count} commands, each as it should be, in {duration}.",
        count,
    ).format(count=count, duration=duration_text(document.duration_s))
    lines = ["", text]
    if document.kept:
        config = shlex.quote(f"{document.kept}/config.toml")
        lines.append(_("Go on yourself: kinebackup --config {config} status").format(config=config))
    return "\n".join(lines)

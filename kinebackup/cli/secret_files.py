"""Secrets that come from a file or go into one: passphrases and recovery codes.

Owns: reading the first line, writing a new private file, and the words for where a new code is. Does not know: what is
unlocked with a secret, or how one is typed (terminal/asking.py).
"""

import codecs
import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kinebackup.cli.session import contradiction
from kinebackup.cli.terminal.output import Output
from kinebackup.engine import Passphrase, RecoveryCode, Secret
from kinebackup.errors import ConfigError
from kinebackup.i18n import _
from kinebackup.practice.computer_keys import MIN_PASSPHRASE, is_short

# --- reading --------------------------------------------------------------------------------------------------------


def secret_from(passphrase_file: str | None, code_file: str | None, output: Output) -> Secret | None:
    """The secret in one of two files: its first line. None where neither is given."""
    if passphrase_file and code_file:
        raise contradiction(_("give a passphrase or a recovery code, not both"))
    if passphrase_file:
        return passphrase_from(passphrase_file, output)
    if code_file:
        return RecoveryCode.of(_first_line(code_file))
    return None


def passphrase_from(file: str, output: Output) -> Passphrase:
    """The passphrase in a file, as it stands there. Nobody sees a blank at its end: that gets a warning."""
    line = _first_line(file)
    if line != line.strip():
        output.warn(
            _("the passphrase in {path} begins or ends with a blank").format(path=file),
            _("it counts, as it would if typed; remove it from the file unless it is meant"),
        )
    return Passphrase.of(line)


def new_passphrase_from(file: str, output: Output) -> Passphrase:
    """A new passphrase out of a file. A short one is the choice of whoever wrote the script: it only gets a warning."""
    passphrase = passphrase_from(file, output)
    if is_short(passphrase):
        output.warn(
            _("this passphrase has fewer than {count} characters").format(count=MIN_PASSPHRASE),
            _("who steals a drive could guess it; a longer one: kinebackup key change-passphrase"),
        )
    return passphrase


def _first_line(path: str) -> str:
    """The first line of a secret's file, without its line end; ``-`` is standard input.

    Raises ``ConfigError`` for one that is no UTF-8 text: the same secret, typed, would be another one.
    """
    try:
        data = sys.stdin.buffer.readline() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(
            _("the file {path} cannot be read ({reason})").format(path=path, reason=error.strerror),
            _("check its name and its permissions"),
        ) from None
    line = data.removeprefix(codecs.BOM_UTF8).split(b"\n", 1)[0].removesuffix(b"\r")  # some editors write a mark first
    if not line:
        raise ConfigError(_("the file {path} is empty").format(path=path), _("its first line must be the secret"))
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ConfigError(
            _("the first line of {path} is not UTF-8 text").format(path=path),
            _("save the file again as plain text with the encoding UTF-8"),
        )
    return text


# --- writing --------------------------------------------------------------------------------------------------------


def code_text(file: str | None, code: str) -> tuple[str, ...]:
    """The recovery code, or where it is, and what to do with it."""
    advice = _(
        "It opens the backups if the passphrase is forgotten. Keep it on paper, away from the computer and the drives."
    )
    if file:
        return (_("The recovery code is in {file}: print it, then delete that file.").format(file=file), advice)
    return (_("The recovery code, shown only this once:"), "", f"    {code}", "", advice)


def shown_code(file: str | None, code: str) -> dict[str, object]:
    """The part of a JSON document that gives a new recovery code."""
    return {"recovery_code_file": os.path.abspath(file)} if file else {"recovery_code": code}


class _SecretFile:
    """A file that is made, empty, before the secret is: where it cannot be written, no secret is lost."""

    def __init__(self, path: str | None) -> None:
        self.fd = -1
        if path is None:
            return
        try:
            self.fd = _new_or_empty(path)
        except FileExistsError:
            raise ConfigError(
                _("the file {path} exists already, and is not overwritten").format(path=path),
                _("name a file that does not exist yet"),
            ) from None
        except OSError as error:
            raise ConfigError(
                _("the file {path} cannot be written ({reason})").format(path=path, reason=error.strerror),
                _("name a file in a folder where you may write"),
            ) from None

    def write(self, text: str) -> None:
        if self.fd >= 0:
            os.write(self.fd, text.encode("ascii") + b"\n")
            os.fsync(self.fd)


def _new_or_empty(path: str) -> int:
    """A new file, or an empty one of this user's, as mktemp makes it. Raises ``OSError``."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        there = os.lstat(path)
        if not stat.S_ISREG(there.st_mode) or there.st_size or there.st_uid != os.geteuid():
            raise
    fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    os.fchmod(fd, 0o600)
    return fd


@contextlib.contextmanager
def new_secret_file(path: str | None) -> Iterator[Any]:
    """A function that writes a secret to a new private file, or does nothing without a path."""
    file = _SecretFile(path)
    try:
        yield file.write
    except BaseException:
        if path is not None:
            with contextlib.suppress(OSError):
                os.unlink(path)
        raise
    finally:
        if file.fd >= 0:
            os.close(file.fd)


def write_private_file(path: str, data: bytes) -> None:
    """Write a file that only this user may read, in the place of one that is there; whole or not at all.

    Raises ``ConfigError``.
    """
    unfinished = f"{path}.{os.getpid()}.new"
    try:
        fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(unfinished)
            raise
    except OSError as error:
        raise ConfigError(
            _("the file {path} cannot be written ({reason})").format(path=path, reason=error.strerror),
            _("name a file in a folder where you may write"),
        ) from None

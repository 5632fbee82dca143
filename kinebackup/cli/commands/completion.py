"""``kinebackup completion``: what makes a shell complete commands, options and drive labels.

Owns: printing the script of each shell, and the labels that may stand after ``--drive``. Does not know: what the words
mean.
"""

from typing import Literal

import click
from click.shell_completion import CompletionItem, get_completion_class

from kinebackup.cli.session import Session
from kinebackup.errors import KineError
from kinebackup.i18n import _

VARIABLE = "_KINEBACKUP_COMPLETE"  # click's own rule makes it from the program's name


@click.command(help=_("Print what makes a shell complete the commands. For bash: source <(kinebackup completion bash)"))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: Literal["bash", "zsh", "fish"]) -> None:
    script = get_completion_class(shell)
    if script is None:
        raise AssertionError("click knows the three shells")
    click.echo(script(ctx.find_root().command, {}, "kinebackup", VARIABLE).source())


def drive_labels(ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The labels of the practice's drives; a path may stand there too, which the shell completes by itself."""
    session = ctx.find_root().obj
    if not isinstance(session, Session):
        return []
    session.config_path = ctx.find_root().params.get("config")
    try:
        computer = session.computer_if_any
        drives = computer.state.drives() if computer else ()
    except KineError:
        return []  # a completion has no place for an error message
    found = [CompletionItem(drive.label) for drive in drives if drive.label.startswith(begun)]
    return found or [CompletionItem(begun, type="dir")]


def snapshot_names(_ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Ids would need the drive and its key; ``latest`` needs neither."""
    return [CompletionItem("latest")] if "latest".startswith(begun) else []

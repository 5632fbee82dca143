"""Questions on the terminal: secrets, and whether to go on.

Owns: asking, and asking again. Does not know: what the answers are for. Where nobody sits at a terminal, nothing is
asked.
"""

import contextlib
import getpass
import shutil
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from kinebackup.cli.terminal.output import printable
from kinebackup.engine import Passphrase, RecoveryCode, Secret
from kinebackup.errors import Cancelled, ConfigError, KineError
from kinebackup.i18n import _
from kinebackup.model import stopped_as_asked
from kinebackup.practice.computer_keys import new_passphrase

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
_YES = ("y", "yes", "o", "oui")  # in either language


def can_ask() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask_new_passphrase() -> Passphrase:
    """Ask twice, until both are the same and long enough. Raises ``ConfigError`` where nobody can be asked."""
    _need_terminal(_("give it in a file: --passphrase-file"))
    _tell(
        _(
            "Choose the passphrase that opens the backups, also on a new computer: at least 12 characters, "
            "for example four words. Nothing is shown while you type."
        )
    )
    while True:
        try:
            passphrase = new_passphrase(_ask(_("Passphrase: ")))
        except ConfigError as error:
            _tell(_sentences(error))
            continue
        if Passphrase.of(_ask(_("The same again: "))) == passphrase:
            return passphrase
        _tell(_("The two were not the same. Once more."))


def ask_secret() -> Secret:
    """The passphrase, or after an empty answer the recovery code."""
    _need_terminal(_("give --passphrase-file or --recovery-code-file"))
    typed = _ask(_("Passphrase (or Enter, to type the recovery code): "))
    if typed:
        return Passphrase.of(typed)
    while True:
        try:
            return RecoveryCode.of(_ask(_("Recovery code: ")))
        except KineError as error:
            _tell(_sentences(error))


def yes_option(command: Decorated) -> Decorated:
    """``--yes`` as ``yes``, for ``confirm``."""
    return click.option("--yes", is_flag=True, help=_("Do not ask."))(command)


def confirm(question: str, *, yes: bool) -> None:
    """Go on only if somebody says so. Raises ``Cancelled``, or ``ConfigError`` where nobody can be asked."""
    if yes:
        return
    _need_terminal(_("confirm it with --yes"))
    choice = _("[y/N]")
    with _interruptible():
        try:
            answer = input(f"{printable(question)} {choice} ")
        except EOFError:
            answer = ""
    if answer.strip().lower() not in _YES:
        raise Cancelled(_("nothing was changed"))


def type_to_agree(question: str, word: str, *, hint: str) -> None:
    """Go on only if somebody types that very word: for what cannot be undone, "yes" comes too easily.

    Raises ``Cancelled``, or ``ConfigError`` where nobody can be asked.
    """
    _need_terminal(hint)
    with _interruptible():
        sys.stderr.write(f"{printable(question)} ")  # standard output is for the result
        sys.stderr.flush()
        try:
            typed = input()
        except EOFError:
            typed = ""
    if not same_words(typed, word):
        raise Cancelled(_("nothing was changed"))


def same_words(typed: str, word: str) -> bool:
    """Whether they are the same but for case and the number of spaces."""
    return typed.split() != [] and typed.casefold().split() == word.casefold().split()


def _need_terminal(hint: str) -> None:
    if not can_ask():
        raise ConfigError(_("this needs an answer, and there is no terminal to ask on"), hint)


def _ask(prompt: str) -> str:
    with _interruptible():
        try:
            return getpass.getpass(prompt)
        except EOFError:
            raise stopped_as_asked() from None


def _sentences(error: KineError) -> str:
    """The message and the hint as two sentences."""
    return " ".join(f"{text[:1].upper()}{text[1:]}." for text in (error.message, error.hint) if text)


def _tell(text: str) -> None:
    width = min(100, shutil.get_terminal_size().columns)
    sys.stderr.write(textwrap.fill(text, width) + "\n")


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends a question at once; elsewhere it stops the run at the next safe point."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        raise
    finally:
        signal.signal(signal.SIGINT, before)

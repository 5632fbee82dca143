"""click's own words in the person's language.

Owns: which of them a person may see, and where click looks them up. Does not know: the commands.

click passes its texts through the standard library's gettext. Here they stand once more, so that the catalogue has
them.
"""

import gettext
import os

from kinebackup.i18n import CATALOGUE, LOCALE_DIR, Language, _, ngettext


def speak(language: Language) -> None:
    """click speaks this language from now on. Not the locale's, for KineBackup speaks French where none is set."""
    os.environ["LANGUAGE"] = language  # the one thing that gettext's look-up by domain takes
    gettext.bindtextdomain(CATALOGUE, str(LOCALE_DIR))
    gettext.textdomain(CATALOGUE)


SEEN = (
    _("Usage:"),
    _("Options"),
    _("Commands"),
    _("Show this message and exit."),
    _("default: {default}"),
    _("required"),
    _("Missing command."),
    _("Missing argument"),
    _("Missing option"),
    _("Choose from:\n\t{choices}"),
    _("No such option {name!r}."),
    _("No such command {name!r}."),
    _("Invalid value: {message}"),
    _("Invalid value for {param_hint}: {message}"),
    _("Option {name!r} does not take a value."),
    _("{value!r} is not a valid {number_type}."),
    _("{value} is not in the range {range}."),
    _("{name} {filename!r} is a directory."),
    _("{name} {filename!r} does not exist."),
    _("file"),
    _("directory"),
    _("path"),
    ngettext("Got unexpected extra argument ({args})", "Got unexpected extra arguments ({args})", 1),
    ngettext("Did you mean {possibility}?", "(Did you mean one of: {possibilities}?)", 1),
    ngettext("{value!r} is not {choice}.", "{value!r} is not one of {choices}.", 1),
    ngettext("Option {name!r} requires an argument.", "Option {name!r} requires {nargs} arguments.", 1),
)

"""The language of KineBackup's texts.

Owns: the choice of the language, and the two functions through which every text for a person goes. Does not know: the
texts themselves (they stand where they are used, in English), or where they are shown.

Write ``_("no drive is called {label}").format(label=label)``: the template is what is looked up, so an f-string would
never be found. The French catalogue is ``locale/fr/LC_MESSAGES/kinebackup.po``; CONTRIBUTING.md says how to update it.
"""

import gettext
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, get_args

Language = Literal["fr", "en"]

LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
DEFAULT_LANGUAGE: Final[Language] = "fr"
CATALOGUE: Final = "kinebackup"
LOCALE_DIR: Final = Path(__file__).parent / "locale"

_SPEAKERS: dict[Language, gettext.NullTranslations] = {"en": gettext.NullTranslations()}
_current: gettext.NullTranslations = _SPEAKERS["en"]


def set_language(language: Language) -> None:
    """Use this language from now on, in every thread; until then it is English.

    A missing catalogue leaves English: a restore on a half-installed computer must not fail for want of a translation.
    """
    global _current  # one program speaks one language; passing it to every message would drown the code
    if language not in _SPEAKERS:
        _SPEAKERS[language] = gettext.translation(CATALOGUE, str(LOCALE_DIR), languages=[language], fallback=True)
    _current = _SPEAKERS[language]


def language_from(environ: Mapping[str, str]) -> Language:
    """The language of the session, for the time before a configuration has been read.

    The first of ``LC_ALL``, ``LC_MESSAGES`` and ``LANG`` that is set decides, as POSIX says (XBD 8.2); French where it
    names neither language.
    """
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        locale = environ.get(variable, "")
        if locale:
            return "en" if locale.replace(".", "_").split("_")[0].lower() == "en" else DEFAULT_LANGUAGE
    return DEFAULT_LANGUAGE


def _(message: str) -> str:
    """The message in the current language."""
    return _current.gettext(message)


def ngettext(singular: str, plural: str, n: int) -> str:
    """The singular or the plural message for ``n`` things, in the current language."""
    return _current.ngettext(singular, plural, n)

"""French is complete, in step with the code, and chosen when it should be.

The code's messages are extracted here by Babel, so that a message without French fails this test and not the person.
"""

import ast
import re
import string
from collections.abc import Iterator

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

from kinebackup.i18n import LANGUAGES, LOCALE_DIR, _, language_from, ngettext, set_language
from kinebackup.policy.rotation import StatusCode, StatusMessage
from kinebackup.texts.status import text_of

PACKAGE = LOCALE_DIR.parent
PO = LOCALE_DIR / "fr" / "LC_MESSAGES" / "kinebackup.po"
UPDATE = "run: make messages"


@pytest.fixture
def french() -> Iterator[None]:
    set_language("fr")
    yield
    set_language("en")


def catalogue() -> Catalog:
    with PO.open("rb") as file:
        return read_po(file, locale="fr")


def messages_of(found: Catalog) -> list[Message]:
    return [message for message in found if message.id]


def forms(text: object) -> tuple[str, ...]:
    """The one form of a message, or its singular and plural."""
    return (
        (text,)
        if isinstance(text, str)
        else tuple(str(form) for form in text)
        if isinstance(text, tuple | list)
        else ()
    )


def placeholders(text: str) -> set[str]:
    return {name for _literal, name, _spec, _conversion in string.Formatter().parse(text) if name is not None}


def messages_of_the_code() -> dict[tuple[str, ...], str]:
    keywords = {"_": None, "ngettext": (1, 2)}
    return {
        forms(message): f"{file}:{line}"
        for file, line, message, _comments, _context in extract_from_dir(PACKAGE, keywords=keywords)
    }


# --- the catalogue --------------------------------------------------------------------------------------------------


def test_no_message_of_the_code_lacks_its_french() -> None:
    translated = {forms(message.id) for message in messages_of(catalogue()) if all(forms(message.string) or [""])}
    missing = {where: message for message, where in messages_of_the_code().items() if message not in translated}
    assert missing == {}, UPDATE


def test_no_french_is_left_of_messages_that_are_gone() -> None:
    code = messages_of_the_code()
    assert [message.id for message in messages_of(catalogue()) if forms(message.id) not in code] == [], UPDATE


def test_the_code_looks_messages_up_by_a_literal() -> None:
    """What Babel cannot see is never translated: f-strings, and texts that were put together before."""
    odd = [
        f"{file.relative_to(PACKAGE)}:{call.lineno}"
        for file in sorted(PACKAGE.rglob("*.py"))
        if file.name != "i18n.py"
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
        for text in call.args[: {"_": 1, "ngettext": 2}.get(call.func.id, 0)]
        if not (isinstance(text, ast.Constant) and isinstance(text.value, str))
    ]
    assert odd == []


def test_the_compiled_catalogue_is_that_of_the_text() -> None:
    with PO.with_suffix(".mo").open("rb") as file:
        compiled = {forms(message.id): forms(message.string) for message in messages_of(read_mo(file))}
    assert compiled == {forms(message.id): forms(message.string) for message in messages_of(catalogue())}, UPDATE


def test_a_translation_has_the_placeholders_of_its_source() -> None:
    wrong = [
        message.id
        for message in messages_of(catalogue())
        for translation in forms(message.string)
        if placeholders(translation) not in [placeholders(form) for form in forms(message.id)]
    ]
    assert wrong == []


def test_no_translation_is_a_guess() -> None:
    assert [message.id for message in messages_of(catalogue()) if message.fuzzy] == []


def test_french_puts_unbreakable_spaces_where_french_has_them() -> None:
    loose = re.compile(r" [:;?!»]|« ")
    wrong = [text for message in messages_of(catalogue()) for text in forms(message.string) if loose.search(text)]
    assert wrong == []


def test_only_files_of_the_catalogue_are_in_its_folder() -> None:
    found = sorted(str(path.relative_to(LOCALE_DIR)) for path in LOCALE_DIR.rglob("*") if path.is_file())
    assert found == ["fr/LC_MESSAGES/kinebackup.mo", "fr/LC_MESSAGES/kinebackup.po"]


# --- speaking -------------------------------------------------------------------------------------------------------


def test_english_is_spoken_until_a_language_is_chosen() -> None:
    assert _("{path} is named twice") == "{path} is named twice"
    assert ngettext("{n} file", "{n} files", 0) == "{n} files"


def test_french_is_spoken_once_chosen(french: None) -> None:
    assert _("{path} is named twice") == "{path} est indiqué deux fois"
    assert text_of(StatusMessage(StatusCode.NO_BACKUP_FOR_DAYS, "CABINET", days=9)) == (
        "Aucune sauvegarde depuis 9 jours\u00a0: branchez le disque CABINET"
    )
    assert text_of(StatusMessage(StatusCode.PROTECTED_BY_BOTH)) == (
        "Le cabinet est protégé\u00a0: les deux disques sont à jour, et l’un d’eux est hors du cabinet"
    )


@pytest.mark.parametrize(("days", "word"), [(0, "jour"), (1, "jour"), (2, "jours"), (21, "jours")])
def test_zero_is_singular_in_french(french: None, days: int, word: str) -> None:
    text = text_of(StatusMessage(StatusCode.VERIFY_DUE, "CABINET", days=days))
    assert text == f"La dernière vérification du disque CABINET date de {days} {word}"


def test_a_message_without_translation_is_said_in_english(french: None) -> None:
    unknown = "this is in no catalogue"
    assert _(unknown) == "this is in no catalogue"  # a variable, so that Babel does not take it for a message


def test_every_language_can_be_chosen() -> None:
    for language in LANGUAGES:
        set_language(language)
    assert LANGUAGES == ("fr", "en")
    set_language("en")


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "fr"),
        ({"LANG": ""}, "fr"),
        ({"LANG": "C.UTF-8"}, "fr"),
        ({"LANG": "de_DE.UTF-8"}, "fr"),
        ({"LANG": "enm_GB"}, "fr"),
        ({"LANG": "fr_FR.UTF-8"}, "fr"),
        ({"LANG": "en_GB.UTF-8"}, "en"),
        ({"LANG": "en"}, "en"),
        ({"LANG": "en.UTF-8"}, "en"),
        ({"LANG": "EN_us"}, "en"),
        ({"LANG": "fr_FR.UTF-8", "LC_ALL": "en_US.UTF-8"}, "en"),
        ({"LANG": "fr_FR.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "fr_FR.UTF-8", "LC_MESSAGES": "en_US"}, "fr"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": ""}, "en"),
    ],
)
def test_the_session_chooses_the_language_until_there_is_a_configuration(
    environ: dict[str, str], language: str
) -> None:
    assert language_from(environ) == language

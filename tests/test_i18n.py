"""French is complete, in step with the code, and chosen when it should be.

The code's messages are extracted here by Babel, so that a message without French fails this test and not the person.
"""

import ast
import functools
import re
import string
from collections.abc import Iterable, Iterator

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

from kinebackup.engine.format.malformed import Malformed
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


# --- what is not in the catalogue -----------------------------------------------------------------------------------

TRANSLATORS = ("_", "ngettext")
WORDS = re.compile(r"[a-z] [a-z]", re.IGNORECASE)
UNTRANSLATED = "Malformed"  # CONTRIBUTING.md says why


def name_of(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


@functools.cache
def modules() -> dict[str, ast.Module]:
    """The product, without the reader of the next twenty years, which speaks English."""
    files = [file for file in sorted(PACKAGE.rglob("*.py")) if "recover" not in file.relative_to(PACKAGE).parts]
    return {str(file.relative_to(PACKAGE)): ast.parse(file.read_text(encoding="utf-8")) for file in files}


def kinds_of_texts(trees: Iterable[ast.Module]) -> set[str]:
    """The classes whose texts a person reads: every error, problems, warnings."""
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    found = {"KineError", "Problem", "TargetWarning"}
    while more := {each.name for each in classes if found & set(map(name_of, each.bases))} - found:
        found |= more
    return found


def literals(node: ast.AST) -> Iterator[str]:
    """Texts that stand in an expression and go through no translation."""
    if isinstance(node, ast.Call) and name_of(node.func) in TRANSLATORS:
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and WORDS.search(node.value):
        yield node.value
    for child in ast.iter_child_nodes(node):
        yield from literals(child)


def untranslated(tree: ast.Module, kinds: set[str]) -> list[str]:
    return [
        text
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and name_of(call.func) in kinds - {UNTRANSLATED}
        for argument in (*call.args, *(keyword.value for keyword in call.keywords))
        for text in literals(argument)
    ]


def test_every_error_problem_and_warning_is_translated_or_says_that_it_is_not() -> None:
    trees = modules()
    kinds = kinds_of_texts(trees.values())
    found = {file: texts for file, tree in trees.items() if (texts := untranslated(tree, kinds))}
    assert found == {}


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('raise NotFound(_("there is no {x}").format(x=", ".join(y)))', []),
        ('raise NotFound("there is none")', ["there is none"]),
        ('raise KineError(_("it failed"), "try again")', ["try again"]),
        ('raise KineError(f"{count} names were refused")', [" names were refused"]),
        ('raise errors.KineError("it" + " failed here")', [" failed here"]),
        ('Problem("damaged", path, message="it is gone")', ["it is gone"]),
        ('raise MountFailed("read-only", _("it cannot be written to"))', []),
        ('raise Malformed("a segment has an impossible size")', []),
        ('raise ValueError("a defect of the caller")', []),
        ('class Odd(NotFound): ...\nraise Odd("it is odd")', ["it is odd"]),
    ],
)
def test_a_text_that_was_forgotten_is_found(code: str, found: list[str]) -> None:
    tree = ast.parse(code)
    assert untranslated(tree, kinds_of_texts([*modules().values(), tree])) == found


def test_only_the_decoders_of_the_format_have_rules_that_are_not_translated() -> None:
    raising = {
        file
        for file, tree in modules().items()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and name_of(call.func) == UNTRANSLATED
    }
    assert {file for file in raising if not file.startswith("engine/format/")} == set()
    assert len(raising) > 2


def test_a_person_reads_a_sentence_around_a_rule_of_the_format(french: None) -> None:
    error = Malformed("a segment has an impossible size")
    assert error.message == "ce n’est pas écrit comme le format l’exige (a segment has an impossible size)"


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

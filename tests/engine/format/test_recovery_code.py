"""The recovery code: what is printed comes back, and every slip of the pen is found.

Owns: examples of typing errors, exhaustively for one code. Does not know: key slots.
"""

import contextlib
import itertools
import os

import pytest
from hypothesis import given
from hypothesis import strategies as some

from kinebackup.engine.format import recovery_code
from kinebackup.engine.format.keyring import RecoveryCode
from kinebackup.engine.format.recovery_code import ALPHABET
from kinebackup.errors import WrongKey

CODE = "2345Q-789AC-BCDEP-FGHJZ-KMNPB-QRSTN-UVWXY"
SYMBOLS = b"2345789ABCDEFGHJKMNPQRSTUVWX"


def groups(code: str) -> list[str]:
    return code.split("-")


def refused(typed: str) -> WrongKey:
    with pytest.raises(WrongKey) as caught:
        recovery_code.decode(typed)
    return caught.value


def test_the_example_of_the_vectors_gives_its_28_symbols() -> None:
    assert recovery_code.decode(CODE) == SYMBOLS


@pytest.mark.parametrize(
    "typed",
    [
        CODE.lower(),
        CODE.replace("-", ""),
        CODE.replace("-", " "),
        f"  {CODE}\n",
        "\t".join(CODE),
        CODE.replace("-", "--"),
    ],
)
def test_case_spaces_and_hyphens_do_not_matter(typed: str) -> None:
    assert recovery_code.decode(typed) == SYMBOLS


@pytest.mark.parametrize("typed", ["", "-", CODE[:-1], CODE + "2", CODE[6:], f"{CODE}-{CODE}", "\0" * 35])
def test_a_code_of_another_length_or_of_nothing_is_refused(typed: str) -> None:
    refused(typed)


def test_a_missing_symbol_is_counted_for_the_person() -> None:
    assert refused(CODE[:-1]).message == "the recovery code has 34 symbols instead of 35"


def test_every_single_wrong_symbol_is_found_in_its_group() -> None:
    for group, part in enumerate(groups(CODE), 1):
        for at, right in enumerate(part):
            for wrong in ALPHABET:
                if wrong == right:
                    continue
                typed = groups(CODE)
                typed[group - 1] = part[:at] + wrong + part[at + 1 :]
                assert refused("-".join(typed)).message == f"group {group} of the recovery code has a typing error"


@pytest.mark.parametrize("wrong", list("0O1IL!é²ßﬀ\u0660\udcff"))
def test_a_symbol_outside_the_alphabet_is_refused_wherever_it_stands(wrong: str) -> None:
    for at, symbol in enumerate(CODE):
        if symbol != "-":
            refused(CODE[:at] + wrong + CODE[at + 1 :])


def test_every_swap_of_two_symbols_in_a_group_is_found() -> None:
    for number, part in enumerate(groups(CODE)):
        for a, b in itertools.combinations(range(5), 2):
            swapped = list(part)
            swapped[a], swapped[b] = swapped[b], swapped[a]
            if "".join(swapped) != part:
                typed = groups(CODE)
                typed[number] = "".join(swapped)
                refused("-".join(typed))


def test_every_swap_of_two_groups_is_found() -> None:
    for a, b in itertools.combinations(range(7), 2):
        typed = groups(CODE)
        typed[a], typed[b] = typed[b], typed[a]
        refused("-".join(typed))


@given(some.integers(min_value=0, max_value=2**32), some.integers(0, 4), some.integers(0, 4), some.integers(0, 6))
def test_swaps_are_found_in_any_code(seed: int, a: int, b: int, group: int) -> None:
    code = recovery_code.create(lambda size: seed.to_bytes(8, "big") * (size // 8))
    typed = groups(code)
    part = list(typed[group])
    part[a], part[b] = part[b], part[a]
    if "".join(part) != typed[group]:
        typed[group] = "".join(part)
        refused("-".join(typed))


@given(some.binary(min_size=64, max_size=64).filter(lambda data: max(data) > 0))
def test_a_new_code_reads_back(data: bytes) -> None:
    drawn = itertools.chain([data], itertools.repeat(bytes(range(64))))
    code = recovery_code.create(lambda size: next(drawn)[:size])
    assert [len(part) for part in groups(code)] == [5] * 7
    assert recovery_code.decode(code) == "".join(part[:4] for part in groups(code)).encode("ascii")


def test_bytes_that_would_favour_some_symbols_are_drawn_again() -> None:
    drawn = iter([bytes([248, 255] * 32), bytes([247] * 28 + [248] * 36)])
    assert recovery_code.create(lambda size: next(drawn)).startswith("ZZZZ")


@given(some.text(max_size=60))
def test_any_text_is_a_code_or_a_wrong_key(typed: str) -> None:
    with contextlib.suppress(WrongKey):
        recovery_code.decode(typed)


def test_no_message_repeats_what_was_typed() -> None:
    error = refused("ABCDE" + CODE[5:])
    assert "ABCDE" not in error.message + error.hint


def test_a_secret_shows_nothing_of_itself() -> None:
    assert repr(RecoveryCode.of(CODE)) == "RecoveryCode(…)"


@pytest.mark.parametrize(
    "dash", ["-", "\u2010", "\u2011", "\u2012", "\u2013", "\u2014", "\u2015", "\u2212", "\u00a0", "\t"]
)
def test_a_dash_that_a_word_processor_made_is_ignored_like_the_hyphen_that_it_was(dash: str) -> None:
    code = recovery_code.create(os.urandom)
    assert recovery_code.decode(code.replace("-", dash)) == recovery_code.decode(code)

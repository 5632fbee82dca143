"""The recovery code: 138 random bits that a person can print, read aloud and type (FORMAT.md §4).

Owns: alphabet, check symbols, parsing. Does not know: slots or keys.
"""

import re
from collections.abc import Callable

from kinebackup.errors import WrongKey
from kinebackup.i18n import _

ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
GROUPS = 7
DATA_SYMBOLS = 4
_IGNORED = re.compile(r"[\s\u2010-\u2015\u2212-]+")  # also what word processors make of a hyphen
_BASE = len(ALPHABET)  # 31 is prime: that is what makes the check symbol find every swap


def _check_symbol(group: int, symbols: str) -> str:
    total = group + sum(weight * ALPHABET.index(symbol) for weight, symbol in enumerate(symbols, 1))
    return ALPHABET[total % _BASE]


def create(entropy: Callable[[int], bytes]) -> str:
    """A new code such as ``ABCDE-…``; ``entropy(n)`` gives n bytes. Rejection keeps all symbols equally likely."""
    symbols: list[str] = []
    while len(symbols) < GROUPS * DATA_SYMBOLS:
        symbols += [ALPHABET[byte % _BASE] for byte in entropy(64) if byte < 256 - 256 % _BASE]
    secret = "".join(symbols[: GROUPS * DATA_SYMBOLS])
    parts = [secret[i : i + DATA_SYMBOLS] for i in range(0, len(secret), DATA_SYMBOLS)]
    return "-".join(part + _check_symbol(group, part) for group, part in enumerate(parts, 1))


def decode(text: str) -> bytes:
    """The 28 secret symbols as ASCII. Raises ``WrongKey`` that names the group with a typing error, never the code."""
    typed = _IGNORED.sub("", text).upper()
    size = DATA_SYMBOLS + 1
    if len(typed) != GROUPS * size:
        raise WrongKey(
            _("the recovery code has {count} symbols instead of {right}").format(count=len(typed), right=GROUPS * size),
            _("type the seven groups of five symbols as printed on the recovery sheet"),
        )
    secret = ""
    for group in range(1, GROUPS + 1):
        part = typed[(group - 1) * size : group * size]
        if any(symbol not in ALPHABET for symbol in part) or _check_symbol(group, part[:-1]) != part[-1]:
            raise WrongKey(
                _("group {group} of the recovery code has a typing error").format(group=group),
                _("compare it with the recovery sheet; the code has no 0, O, 1, I or L"),
            )
        secret += part[:-1]
    return secret.encode("ascii")

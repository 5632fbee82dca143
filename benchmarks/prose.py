"""Seeded random bytes, and text of invented French-sounding words.

Owns: where every byte of the data sets comes from. Does not know: files. Nothing here is a word list of a real
language, nor anybody's name: words are built of syllables, and drawn by Zipf's law so that text compresses as real
letters do (2 or 3 to 1).
"""

import random
from itertools import accumulate

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

_ZEROS = bytes(1 << 20)
_ONSETS = ("b", "c", "ch", "d", "f", "g", "j", "l", "m", "n", "p", "pl", "pr", "qu", "r", "s", "t", "tr", "v")
_VOWELS = ("a", "ai", "au", "e", "é", "è", "ê", "eau", "i", "o", "oi", "ou", "u")
_CODAS = ["", "", "", "l", "n", "r", "s", "t", "x", "nt", "lle", "sse", "ment"]
_VOCABULARY = 8_000
_DRAWS = 65_536  # one word for each value of two random bytes


class Noise:
    """An endless stream of bytes that only depends on its label: AES-128-CTR of zeros, several GB/s."""

    def __init__(self, label: str) -> None:
        key = random.Random(label).randbytes(16)
        self._cipher: CipherContext = Cipher(AES(key), CTR(bytes(16))).encryptor()

    def take(self, size_bytes: int) -> bytes:
        """The next ``size_bytes`` bytes; incompressible."""
        if size_bytes <= len(_ZEROS):
            return self._cipher.update(_ZEROS[:size_bytes])
        return self._cipher.update(bytes(size_bytes))


class Prose:
    """Text of made-up words; the same seed gives the same text on every little-endian computer."""

    def __init__(self, label: str) -> None:
        rng = random.Random(label)
        self._noise = Noise(label + "/text")
        self.words = _words(rng)
        weights = list(accumulate(1 / (rank + 3) for rank in range(_VOCABULARY)))
        drawn = rng.choices(range(_VOCABULARY), cum_weights=weights, k=_DRAWS)
        self._table = [self.words[index] + _separator(rng) for index in drawn]
        self._mean = sum(map(len, self._table)) / _DRAWS

    def text(self, length: int) -> str:
        """Exactly ``length`` characters of prose."""
        pieces: list[str] = []
        missing = length
        while missing > 0:
            # A little more than needed on average, so that one pass is nearly always enough.
            draws = memoryview(self._noise.take(2 * (int(missing / self._mean * 1.05) + 8))).cast("H")
            pieces.append("".join(map(self._table.__getitem__, draws)))
            missing -= len(pieces[-1])
        return "".join(pieces)[:length]


def _words(rng: random.Random) -> list[str]:
    words: dict[str, None] = {}  # a dict keeps the order, a set would depend on the hash seed
    while len(words) < _VOCABULARY:
        syllables = rng.choices((1, 2, 3, 4), weights=(3, 6, 4, 1))[0]
        words["".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(syllables)) + rng.choice(_CODAS)] = None
    return sorted(words, key=len)  # the frequent words are the short ones, as in every language


def _separator(rng: random.Random) -> str:
    return rng.choices((" ", ", ", ". ", ".\n"), weights=(84, 8, 6, 2))[0]

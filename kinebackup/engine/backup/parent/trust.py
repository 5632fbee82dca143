"""When an unmoved time proves that nothing was written.

Owns: the margin between a change and the run that read it. Does not know: what else is compared.

A file that is written once more in the same step of its file system's clock looks as it did before. Whoever read it
between the two writes would pass it by for ever. So a time proves something only where the clock had moved on when the
run began that read the file.
"""

from dataclasses import dataclass
from typing import Final

SECOND_NS: Final = 1_000_000_000
_TICK_NS = 20_000_000  # the kernel's clock ticks every 10 ms at most; exFAT's times too
_COARSE_NS = 2 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Trust:
    """For entries of one run. A time without a fraction may come from a file system that keeps whole seconds only, or
    even ones: it needs the wider margin. One with a fraction comes from a finer one.

    The scan's hot loop says the same in its own words; a test holds it against ``proves``.
    """

    whole_before_ns: int
    fine_before_ns: int

    @classmethod
    def of_run(cls, began_ns: int) -> "Trust":
        """For what a run read that began then, by the clock of this computer."""
        return cls(began_ns - _COARSE_NS - _TICK_NS, began_ns - _TICK_NS)

    def proves(self, time_ns: int) -> bool:
        """Whether a file that has this time still, was not written after it was read."""
        return time_ns < self.whole_before_ns or (time_ns < self.fine_before_ns and time_ns % SECOND_NS != 0)


NO_TRUST: Final = Trust(-(2**63), -(2**63))

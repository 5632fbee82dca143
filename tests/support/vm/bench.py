"""What each scenario in the virtual machine begins with.

Owns: naming it. Does not know: how it is made (vm_fixtures.py).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.vm.guest_practice import GuestPractice
from support.vm.machine import Machine
from support.vm.stick import Stick

CABINET: Final = "CABINET"
HOME: Final = "DOMICILE"


@dataclass(frozen=True, slots=True)
class Bench:
    """The practice's computer, its two drives as they were enrolled, what its files hold, and a place of its own."""

    practice: GuestPractice
    machine: Machine
    cabinet: Stick
    home: Stick
    files: dict[str, str]
    place: Path

"""The phases that everybody may know.

Owns: that their names stay, and that a person can read each. Does not know: what leads from one to the next.
"""

from kinebackup.cli.terminal.overview import phase_text
from kinebackup.policy.phases import Phase


def test_the_names_that_cross_the_bus_do_not_change() -> None:
    assert [str(phase) for phase in Phase] == [
        "absent",
        "appeared",
        "mounting",
        "authenticating",
        "backing up",
        "verifying",
        "testing",
        "pruning",
        "stopping",
        "unmounting",
        "stuck",
        "powering off",
        "safe to unplug",
        "refused",
    ]


def test_every_phase_has_words_but_for_being_here_and_being_away() -> None:
    assert {phase for phase in Phase if not phase_text(phase)} == {Phase.ABSENT, Phase.APPEARED}

"""The phases that everybody may know.

Owns: that their names stay. Does not know: what leads from one to the next, or the words for people.
"""

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
        "repairing",
        "stopping",
        "unmounting",
        "stuck",
        "powering off",
        "safe to unplug",
        "refused",
    ]

"""The table of the drives.

Owns: the words for what the daemon does with a drive. Does not know: a daemon.
"""

from kinebackup.cli.terminal.overview import phase_text
from kinebackup.policy.phases import Phase


def test_every_phase_has_its_words_but_those_that_say_no_more_than_here_or_away() -> None:
    assert {phase for phase in Phase if not phase_text(phase)} == {Phase.ABSENT, Phase.APPEARED}


def test_a_phase_of_a_newer_daemon_has_no_words() -> None:
    assert phase_text("being polished") == ""

"""docs/MACHINE.md, made from the table of the machine itself.

Owns: how the table becomes a picture. Does not know: why it is as it is. ``.venv/bin/python
tests/daemon/diagram.py`` writes the file again; a test compares.
"""

from pathlib import Path

from kinebackup.daemon.states import AT_WORK, JOB_PHASES, TABLE, Phase, Sign

FILE = Path(__file__).parents[2] / "docs" / "MACHINE.md"

INTRODUCTION = """\
# How a drive goes through the daemon

Made from `daemon/states.py` by `.venv/bin/python tests/daemon/diagram.py`; a test fails where the two differ.
What each sign stands for is in `machine.py` and `visits.py`, what is done on entering a phase in `phases.py`;
[decision 10](decisions/0010-the-machine.md) says why.

Two things are left out of the picture: **pulled** leads from every phase to *absent*, and from each job the signs
*backup next*, *verify next*, *test next* and *prune next* lead to that job. A sign that a phase does not list changes
nothing. In the phases with a thick border the drive is at work: one drive at a time, and the computer is kept awake.
"""


def page() -> str:
    """The whole file."""
    return "\n".join([INTRODUCTION, *_picture(), "", *_rows()]) + "\n"


def _picture() -> list[str]:
    jobs = [phase for phase in Phase if phase in JOB_PHASES]
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> ABSENT"]
    lines += [f"    {phase.name} : {phase.value}" for phase in Phase]
    lines += ["    state JOB {", *(f"        {phase.name}" for phase in jobs), "    }"]
    for phase, row in TABLE.items():
        if phase in jobs[1:]:
            continue  # drawn once for all of them
        to: dict[str, list[str]] = {}
        for sign, after in row.items():
            if sign is not Sign.PULLED and not (phase in jobs and after in jobs):
                to.setdefault(after.name, []).append(sign.value)
        start = "JOB" if phase in jobs else phase.name
        lines += [f"    {start} --> {after} : {' / '.join(signs)}" for after, signs in to.items()]
    at_work = ",".join(phase.name for phase in Phase if phase in AT_WORK)
    return [*lines, "    classDef atWork stroke-width:4px", f"    class {at_work} atWork", "```"]


def _rows() -> list[str]:
    lines = ["| in this phase | this sign | leads to |", "|---|---|---|"]
    for phase, row in TABLE.items():
        lines += [f"| {phase.value} | {sign.value} | {after.value} |" for sign, after in row.items()]
    return lines


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")

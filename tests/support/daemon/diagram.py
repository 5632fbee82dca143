"""docs/MACHINE.md, made from the table of the machine itself.

Owns: how the table becomes a picture. Does not know: why it is as it is. ``.venv/bin/python
tests/support/daemon/diagram.py`` writes the file again; a test compares.
"""

from support.project import DOCS

from kinebackup.daemon.decide.states import AT_WORK, JOB_PHASES, TABLE, Phase, Trigger

FILE = DOCS / "MACHINE.md"

INTRODUCTION = """\
# How a drive goes through the daemon

Made from `daemon/decide/states.py` by `PYTHONPATH=tests .venv/bin/python -m support.daemon.diagram`; a test fails
where the two differ. What each trigger stands for is in `machine.py` and `attachments.py`, what is done on entering a
phase in `phases.py`;
[decision 10](decisions/0010-the-machine.md) says why.

Two things are left out of the picture: **pulled** leads from every phase to *absent*, and from each job the triggers
*backup next*, *verify next*, *test next* and *prune next* lead to that job. A trigger that a phase does not list
changes nothing. In the phases with a thick border the drive is at work: one drive at a time, and the computer is kept
awake.
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
        for trigger, after in row.items():
            if trigger is not Trigger.PULLED and not (phase in jobs and after in jobs):
                to.setdefault(after.name, []).append(trigger.value)
        start = "JOB" if phase in jobs else phase.name
        lines += [f"    {start} --> {after} : {' / '.join(triggers)}" for after, triggers in to.items()]
    at_work = ",".join(phase.name for phase in Phase if phase in AT_WORK)
    return [*lines, "    classDef atWork stroke-width:4px", f"    class {at_work} atWork", "```"]


def _rows() -> list[str]:
    lines = ["| in this phase | this trigger | leads to |", "|---|---|---|"]
    for phase, row in TABLE.items():
        lines += [f"| {phase.value} | {trigger.value} | {after.value} |" for trigger, after in row.items()]
    return lines


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")

"""docs/MACHINE.md, made from the table of the machine itself.

Owns: how the table becomes a picture. Does not know: why it is as it is. ``PYTHONPATH=tests .venv/bin/python -m
support.daemon.diagram`` writes the file again; a test compares.
"""

from support.project import DOCS

from kinebackup.daemon.decide.table import AT_WORK, JOB_PHASES, TABLE, Intent, Trigger
from kinebackup.policy.phases import Phase

FILE = DOCS / "MACHINE.md"

INTRODUCTION = """\
# How a drive goes through the daemon

Made from `daemon/decide/table.py` by `PYTHONPATH=tests .venv/bin/python -m support.daemon.diagram`; a test fails
where the two differ. What each trigger stands for is in `machine.py` and `attachments.py`, what is done on entering a
phase in `transitions.py`;
[decision 10](decisions/0010-the-machine.md) says why.

A drive has a phase, which D-Bus and `kinebackup status` show, and an intent: *work*, or what it is unmounted for, which
is to *leave* (and be powered off), to *wait* (and go on later), or to be *refused*. The table below has both. A trigger
that is not listed changes nothing.

The picture has the phases only; where a transition depends on the intent, that stands in brackets. Left out are:
**pulled**, which leads from every phase to *absent*; the triggers *backup next*, *verify next*, *test next*, *prune
next* and *repair next*, which lead from each job to that job; and what changes the intent but not the phase (*wanted*,
*pause*, *let go* on the way). In the phases with a thick border the drive is at work: one drive at a time, and the
computer is kept awake. A drive that is read for the repair of another one is mounted for that, and not at work itself.
"""


def page() -> str:
    """The whole file."""
    return "\n".join([INTRODUCTION, *_picture(), "", *_rows()]) + "\n"


def _picture() -> list[str]:
    jobs = [phase for phase in Phase if phase in JOB_PHASES]
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> ABSENT"]
    lines += [f"    {phase.name} : {phase.value}" for phase in Phase]
    lines += ["    state JOB {", *(f"        {phase.name}" for phase in jobs), "    }"]
    for phase in Phase:
        if phase in jobs[1:]:
            continue  # drawn once for all of them
        start = "JOB" if phase in jobs else phase.name
        lines += [f"    {start} --> {after} : {' / '.join(labels)}" for after, labels in _edges(phase, jobs).items()]
    at_work = ",".join(phase.name for phase in Phase if phase in AT_WORK)
    return [*lines, "    classDef atWork stroke-width:4px", f"    class {at_work} atWork", "```"]


def _edges(phase: Phase, jobs: list[Phase]) -> dict[str, list[str]]:
    """To each other phase, the triggers that lead there, with the intents for which they do where not for all."""
    rows = {position.intent: row for position, row in TABLE.items() if position.phase is phase}
    found: dict[str, dict[Trigger, list[Intent]]] = {}
    for intent, row in rows.items():
        for trigger, after in row.items():
            if trigger is Trigger.PULLED or after.phase is phase or (phase in jobs and after.phase in jobs):
                continue
            found.setdefault(after.phase.name, {}).setdefault(trigger, []).append(intent)
    return {after: _labels(triggers, list(rows)) for after, triggers in found.items()}


def _labels(triggers: dict[Trigger, list[Intent]], every: list[Intent]) -> list[str]:
    return [
        trigger.value if intents == every else f"{trigger.value} [{', '.join(intents)}]"
        for trigger, intents in triggers.items()
    ]


def _rows() -> list[str]:
    lines = ["| in this phase | with this intent | this trigger | leads to |", "|---|---|---|---|"]
    for before, row in TABLE.items():
        for trigger, after in row.items():
            lines.append(f"| {before.phase} | {before.intent} | {trigger} | {after.phase}, {after.intent} |")
    return lines


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")

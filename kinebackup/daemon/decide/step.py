"""One step of the machine while it is being worked out: the state so far, and the actions so far.

Owns: changing one drive of the state, showing and withdrawing notices, once each. Does not know: events, or what a
phase does. A ``Step`` lives inside one call of ``machine.step``; nothing of it is seen outside.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from kinebackup.daemon.decide.actions import Action, Notify, Withdraw
from kinebackup.daemon.decide.states import DriveState, NoticeKey, State
from kinebackup.policy.notices import BEHAVIOUR, Ends, Notice
from kinebackup.policy.reminders import said_as, spoken_of


class Step:
    """The work of one step."""

    def __init__(self, state: State, now: datetime) -> None:
        self.state = state
        self.now = now
        self.actions: list[Action] = []

    def do(self, action: Action) -> None:
        """One more thing to be done, after those so far."""
        self.actions.append(action)

    def drive(self, label: str) -> DriveState | None:
        """The drive of that label as it is now."""
        return next((drive for drive in self.state.drives if drive.known.label == label), None)

    def put(self, drive: DriveState, **changes: Any) -> DriveState:  # the fields are those of ``replace``
        """Change one drive; returns it as it is now."""
        changed = replace(drive, **changes)
        label = changed.known.label
        self.state = replace(
            self.state, drives=tuple(changed if each.known.label == label else each for each in self.state.drives)
        )
        return changed

    def tell(self, notice: Notice) -> None:
        """Show a notice, in the place of what it says in other words. A reminder counts as said today."""
        mine = NoticeKey(notice.kind, notice.drive)
        if notice.behaviour.reminder is not None:
            for shown in sorted(self.state.shown - {mine}, key=lambda each: (each.kind, each.drive)):
                if said_as(shown.kind, shown.drive) == said_as(notice.kind, notice.drive):
                    self.withdraw(shown)
            memory = self.state.memory
            spoken = spoken_of(notice, memory, self.state.rules.hours, self.now)
            self.state = replace(self.state, memory=replace(memory, spoken=spoken))
        self.state = replace(self.state, shown=self.state.shown | {mine})
        self.do(Notify(notice))

    def tell_once(self, notice: Notice) -> None:
        """Show a notice unless it is shown already."""
        if NoticeKey(notice.kind, notice.drive) not in self.state.shown:
            self.tell(notice)

    def withdraw(self, shown: NoticeKey) -> None:
        """Take a notice back, if it is shown."""
        if shown in self.state.shown:
            self.state = replace(self.state, shown=self.state.shown - {shown})
            self.do(Withdraw(shown.kind, shown.drive))

    def withdraw_all(self, ends: Ends, drive: str) -> None:
        """Take back what that makes obsolete: of this drive, and where one is plugged in, what asked for any drive."""
        for shown in sorted(self.state.shown, key=lambda each: (each.kind, each.drive)):
            ended_by = BEHAVIOUR[shown.kind].ends
            if (ended_by == ends and shown.drive == drive) or (ended_by == "any-plugged-in" and ends == "plugged-in"):
                self.withdraw(shown)

"""One step of the machine while it is being worked out: the state so far, and the actions so far.

Owns: changing one drive of the state, showing and withdrawing notices, once each. Does not know: events, or what a
phase does. A ``Step`` lives inside one call of ``machine.step``; nothing of it is seen outside.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from kinebackup.daemon.decide.actions import Action, Notify, Withdraw
from kinebackup.daemon.decide.states import DriveState, State
from kinebackup.policy.notices import BEHAVIOUR, ActiveNotice, Ends, Notice, NoticeKey
from kinebackup.policy.reminders import reminder_key, with_spoken


class Step:
    """The work of one step."""

    def __init__(self, state: State, now: datetime) -> None:
        self.state = state
        self.now = now
        self.actions: list[Action] = []

    def do(self, action: Action) -> None:
        """One more thing to be done, after those so far."""
        self.actions.append(action)

    def drive(self, drive_id: str) -> DriveState | None:
        """That drive as it is now."""
        return next((drive for drive in self.state.drives if drive.known.id == drive_id), None)

    def put(self, drive: DriveState, **changes: Any) -> DriveState:  # the fields are those of ``replace``
        """Change one drive; returns it as it is now."""
        changed = replace(drive, **changes)
        drives = tuple(changed if each.known.id == changed.known.id else each for each in self.state.drives)
        self.state = replace(self.state, drives=drives)
        return changed

    def notify(self, notice: Notice) -> None:
        """Show a notice, in the place of what it says in other words. A reminder counts as said today."""
        if notice.behaviour.reminder is not None:
            for key in self._active_keys():
                if key != notice.key and reminder_key(key.kind, key.drive) == reminder_key(notice.kind, notice.drive):
                    self.withdraw(key)
            memory = self.state.memory
            spoken = with_spoken(notice, memory, self.state.rules.hours, self.now)
            self.state = replace(self.state, memory=replace(memory, spoken=spoken))
        self._drop(notice.key)
        self.state = replace(self.state, notices=(*self.state.notices, ActiveNotice(notice, self.now)))
        self.do(Notify(notice))

    def notify_once(self, notice: Notice) -> None:
        """Show a notice unless it is active already."""
        if self.state.notice(notice.key) is None:
            self.notify(notice)

    def withdraw(self, key: NoticeKey) -> None:
        """Take a notice back, if it is active."""
        if self.state.notice(key) is not None:
            self._drop(key)
            self.do(Withdraw(key.kind, key.drive))

    def withdraw_all(self, ends: Ends, drive: str) -> None:
        """Take back what that makes obsolete: of this drive, and where one is plugged in, what asked for any drive."""
        for key in self._active_keys():
            ended_by = BEHAVIOUR[key.kind].ends
            if (ended_by == ends and key.drive == drive) or (ended_by == "any-plugged-in" and ends == "plugged-in"):
                self.withdraw(key)

    def _active_keys(self) -> list[NoticeKey]:
        """In an order that is the same on every run."""
        return sorted((each.notice.key for each in self.state.notices), key=lambda key: (key.kind, key.drive))

    def _drop(self, key: NoticeKey) -> None:
        self.state = replace(self.state, notices=tuple(each for each in self.state.notices if each.notice.key != key))

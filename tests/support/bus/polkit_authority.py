"""polkit's place on the bus, answering by a table: the real one needs login sessions, which the tests do not have.

Owns: CheckAuthorization and its cancelling. Does not know: who asks, or why.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from dbus_fast import BusType
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusSignature, DBusStr, DBusUInt32
from dbus_fast.service import ServiceInterface, dbus_method

Answer = Literal["yes", "no", "password", "never"]
"""*password*: yes, if somebody may be asked for it. *never*: no answer comes."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question that was asked."""

    subject_kind: str
    action: str
    interactive: bool


@dataclass(slots=True)
class Ledger:
    """What is answered, and what was asked."""

    answers: dict[str, Answer]
    checks: list[Check] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)


class _Authority(ServiceInterface):
    def __init__(self, ledger: Ledger) -> None:
        super().__init__("org.freedesktop.PolicyKit1.Authority")
        self._ledger = ledger

    @dbus_method(name="CheckAuthorization")
    async def check(
        self,
        subject: Annotated[list[Any], DBusSignature("(sa{sv})")],
        action: DBusStr,
        details: Annotated[dict[str, str], DBusSignature("a{ss}")],
        flags: DBusUInt32,
        cancellation: DBusStr,
    ) -> Annotated[list[Any], DBusSignature("(bba{ss})")]:
        self._ledger.checks.append(Check(subject[0], action, bool(flags & 1)))
        match self._ledger.answers.get(action, "no"):
            case "never":
                await asyncio.Event().wait()
            case "password":
                return [bool(flags & 1), not flags & 1, {}]
            case answer:
                return [answer == "yes", False, {}]
        raise AssertionError

    @dbus_method(name="CancelCheckAuthorization")
    def cancel(self, cancellation: DBusStr) -> None:
        self._ledger.cancelled.append(cancellation)


async def run_authority(address: str, ledger: Ledger) -> MessageBus:
    """Answer on that bus until its connection is ended."""
    bus = await MessageBus(bus_address=address, bus_type=BusType.SYSTEM).connect()
    bus.export("/org/freedesktop/PolicyKit1/Authority", _Authority(ledger))
    await bus.request_name("org.freedesktop.PolicyKit1")
    return bus

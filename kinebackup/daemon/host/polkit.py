"""Whether somebody on the bus may ask for something.

Owns: asking the bus who a client is, and polkit whether that one may. Does not know: what is asked for.

Without polkit, root may and nobody else.
"""

import asyncio
import itertools
import logging
from typing import Any, Final

from dbus_fast import DBusFastError, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

_ALLOW_USER_INTERACTION: Final = 1  # CheckAuthorizationFlags of org.freedesktop.PolicyKit1.Authority
_ANSWER_S: Final = 10.0
_PERSON_S: Final = 120.0  # somebody types a password

log = logging.getLogger("kinebackup.daemon")
_numbers = itertools.count(1)


async def is_root(bus: MessageBus, sender: str) -> bool:
    """Whether that connection is root's. One that has gone is nobody's."""
    message = Message(
        destination="org.freedesktop.DBus",
        path="/org/freedesktop/DBus",
        interface="org.freedesktop.DBus",
        member="GetConnectionUnixUser",
        signature="s",
        body=[sender],
    )
    body = await _call(bus, message, _ANSWER_S)
    return body is not None and len(body) == 1 and type(body[0]) is int and body[0] == 0


async def authorised(bus: MessageBus, sender: str, action: str, *, interactive: bool) -> bool:
    """Whether that connection may do that action; ``interactive``: the desktop may ask the person to prove it.

    The subject is the connection, not its process: a process number can be another's by the time polkit looks.
    """
    if await is_root(bus, sender):
        return True
    name = f"kinebackup-{next(_numbers)}"
    subject = ["system-bus-name", {"name": Variant("s", sender)}]
    flags = _ALLOW_USER_INTERACTION if interactive else 0
    check = _to_polkit("CheckAuthorization", "(sa{sv})sa{ss}us", [subject, action, {}, flags, name])
    body = await _call(bus, check, _PERSON_S if interactive else _ANSWER_S)
    if body is None:
        await _call(bus, _to_polkit("CancelCheckAuthorization", "s", [name]), _ANSWER_S)
        return False
    match body:
        case [[bool(allowed), *_rest]]:
            return allowed
        case _:
            return False


def _to_polkit(member: str, signature: str, body: list[Any]) -> Message:
    return Message(
        destination="org.freedesktop.PolicyKit1",
        path="/org/freedesktop/PolicyKit1/Authority",
        interface="org.freedesktop.PolicyKit1.Authority",
        member=member,
        signature=signature,
        body=body,
    )


async def _call(bus: MessageBus, message: Message, patience_s: float) -> list[Any] | None:
    """The answer, or None where there is none: whatever the reason, nobody has said yes."""
    if not bus.connected:
        return None
    try:
        async with asyncio.timeout(patience_s):
            reply = await bus.call(message)
    except (OSError, EOFError, TimeoutError, DBusFastError):
        log.warning("no answer to %s", message.member)
        return None
    if reply is None:
        return None
    if reply.message_type is MessageType.ERROR:
        log.info("%s was answered with %s", message.member, reply.error_name)
        return None
    return list(reply.body)

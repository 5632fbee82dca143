"""The daemon on the system bus: its connection, its requests one by one, its signals.

Owns: the connection, the limit on requests, and the signals. Does not know: what a request means (bus_requests.py), or
what the daemon decides.

The daemon works without a bus: a backup must not fail for want of a desktop. So whatever happens here ends in a line of
the journal and in another attempt.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from dbus_fast import Message, MessageFlag, MessageType, NameFlag, RequestNameReply
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusStr
from dbus_fast.constants import PropertyAccess
from dbus_fast.introspection import Interface
from dbus_fast.service import ServiceInterface, dbus_property

from kinebackup import __version__
from kinebackup.bus import names
from kinebackup.bus.connection import CONNECTION_ERRORS, PATIENCE_S, connect, disconnect, until_disconnected
from kinebackup.bus.interface import interface
from kinebackup.bus.values import encode_notice
from kinebackup.daemon.bus_requests import Caller, Refusal, Requests
from kinebackup.daemon.decide.actions import Ending
from kinebackup.daemon.decide.events import JobId
from kinebackup.daemon.host import polkit
from kinebackup.daemon.ports import Daemon
from kinebackup.errors import KineError
from kinebackup.model import Progress
from kinebackup.policy.job_kinds import JobKind
from kinebackup.policy.notices import ActiveNotice, NoticeKind
from kinebackup.policy.phases import Phase

_FIRST_RETRY_S: Final = 1.0
_LAST_RETRY_S: Final = 300.0

BURST: Final = 30
"""So many requests of one client are answered at once …"""
PER_SECOND: Final = 10.0
"""… and so many more each second."""
PENDING_AT_MOST: Final = 256
"""So many requests of all clients wait for an answer, such as a password that somebody must type."""
PENDING_OF_ONE: Final = 8
_CLIENTS_REMEMBERED: Final = 512

log = logging.getLogger("kinebackup.daemon")


class _Properties(ServiceInterface):
    """What introspection shows. The methods are not here: the library would not tell them who calls."""

    def introspect(self) -> Interface:
        return interface()

    @dbus_property(access=PropertyAccess.READ, name="Version")
    def version(self) -> DBusStr:
        return __version__


@dataclass(slots=True)
class _Client:
    """What one client may still ask for."""

    allowance: float
    asked_s: float
    pending: int = 0
    was_refused: bool = False


class Gate:
    """Limits requests, so that a flood of one client neither fills the memory nor keeps others out."""

    def __init__(self, elapsed_s: Callable[[], float]) -> None:
        self._elapsed_s = elapsed_s
        self._clients: OrderedDict[str, _Client] = OrderedDict()
        self._pending = 0

    def enter(self, name: str) -> Literal["open", "full", "silent"]:
        """Whether a request may be worked on; ``leave`` must follow where it may.

        *silent*: this client has had its *full* and goes on. Even an error for each request of a flood would be too
        much.
        """
        client = self._known(name)
        if client.allowance >= 1 and client.pending < PENDING_OF_ONE and self._pending < PENDING_AT_MOST:
            client.allowance -= 1
            client.pending += 1
            client.was_refused = False
            self._pending += 1
            return "open"
        if client.was_refused:
            return "silent"
        client.was_refused = True
        return "full"

    def leave(self, name: str) -> None:
        """A request has been answered."""
        self._pending -= 1
        client = self._clients.get(name)
        if client is not None and client.pending:
            client.pending -= 1

    def _known(self, name: str) -> _Client:
        now = self._elapsed_s()
        client = self._clients.setdefault(name, _Client(float(BURST), now))
        client.allowance = min(float(BURST), client.allowance + (now - client.asked_s) * PER_SECOND)
        client.asked_s = now
        self._clients.move_to_end(name)
        while len(self._clients) > _CLIENTS_REMEMBERED:
            self._clients.popitem(last=False)
        return client


class BusService:
    """Answers requests, and sends what it is told as a ``Listener`` of the daemon as signals."""

    def __init__(self, daemon: Daemon, *, elapsed_s: Callable[[], float], address: str | None = None) -> None:
        """``elapsed_s`` is monotonic. Without an address: the system bus, or ``DBUS_SYSTEM_BUS_ADDRESS``."""
        self._daemon = daemon
        self._address = address
        self._gate = Gate(elapsed_s)
        self._requests = Requests(daemon, self._may, self._is_root)
        self._bus: MessageBus | None = None
        self._reconnecting: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._progress_sent: asyncio.Future[None] | None = None
        self._warned = False

    async def start(self) -> bool:
        """Whether the daemon is on the bus now; if not, it goes on trying until ``stop``."""
        self._daemon.listen(self)
        joined = await self._connect()
        self._reconnecting = asyncio.create_task(self._stay_connected())
        return joined

    async def stop(self) -> None:
        """Leave the bus; requests that wait are not answered any more."""
        tasks = [*self._tasks, *([self._reconnecting] if self._reconnecting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._reconnecting = None
        await self._disconnect()

    # --- being on the bus ---------------------------------------------------------------------------------------------

    async def _connect(self) -> bool:
        """Connect and take the name. Says once why it could not, not each time."""
        try:
            bus = await connect(self._address)
        except CONNECTION_ERRORS as error:
            self._warn_once(f"no system bus: {error}")
            return False
        self._bus = bus
        bus.add_message_handler(self._handle)
        try:
            bus.export(names.OBJECT_PATH, _Properties(names.INTERFACE))
            async with asyncio.timeout(PATIENCE_S):
                reply = await bus.request_name(names.BUS_NAME, NameFlag.DO_NOT_QUEUE)
        except CONNECTION_ERRORS as error:
            self._warn_once(f"the name on the system bus is not given to us: {error}")
            await self._disconnect()
            return False
        if reply not in (RequestNameReply.PRIMARY_OWNER, RequestNameReply.ALREADY_OWNER):
            self._warn_once("another daemon has the name on the system bus")
            await self._disconnect()
            return False
        log.info("on the system bus as %s", names.BUS_NAME)
        self._warned = False
        return True

    def _warn_once(self, what: str) -> None:
        if not self._warned:
            log.warning("%s; going on without, and trying again", what)
            self._warned = True

    async def _stay_connected(self) -> None:
        pause_s = _FIRST_RETRY_S
        while True:
            if self._bus is not None:
                await until_disconnected(self._bus)
                self._bus = None
                log.warning("the system bus is gone; trying again")
                pause_s = _FIRST_RETRY_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LAST_RETRY_S)
            await self._connect()

    async def _disconnect(self) -> None:
        bus, self._bus = self._bus, None
        if bus is not None:
            await disconnect(bus)

    # --- requests -----------------------------------------------------------------------------------------------------

    def _handle(self, message: Message) -> Message | bool | None:
        """Called by the library with every message; None leaves it to the library, which answers at once."""
        if message.message_type is not MessageType.METHOD_CALL or not message.sender:
            return None
        match self._gate.enter(message.sender):
            case "full":
                return Message.new_error(message, names.ERROR_TOO_MANY_REQUESTS, "too many requests; ask again later")
            case "silent":
                return True
        method = next((each for each in interface().methods if each.name == message.member), None)
        is_ours = message.path == names.OBJECT_PATH and message.interface == names.INTERFACE
        if not is_ours or method is None or method.in_signature != message.signature:
            self._gate.leave(message.sender)
            return None
        task = asyncio.get_running_loop().create_task(self._answer(message, method.out_signature))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _answer(self, message: Message, signature: str) -> None:
        sender = message.sender or ""
        caller = Caller(sender, bool(message.flags & MessageFlag.ALLOW_INTERACTIVE_AUTHORIZATION))
        try:
            body = await self._requests.answer(caller, message.member or "", message.body)
            reply = Message.new_method_return(message, signature, body)
        except Refusal as refusal:
            reply = Message.new_error(message, refusal.error, refusal.text)
        except KineError as error:
            reply = Message.new_error(message, names.ERROR_FAILED, error.message)
        except Exception:
            # Whoever asks must not be able to end the daemon by it; the journal has the defect.
            log.exception("%s could not be answered", message.member)
            reply = Message.new_error(message, names.ERROR_FAILED, "this was not foreseen; the journal says more")
        finally:
            self._gate.leave(sender)
        if not message.flags & MessageFlag.NO_REPLY_EXPECTED:
            self._send(reply)

    async def _may(self, caller: Caller, action: str) -> bool:
        bus = self._bus
        return bus is not None and await polkit.authorised(bus, caller.name, action, interactive=caller.interactive)

    async def _is_root(self, caller: Caller) -> bool:
        bus = self._bus
        return bus is not None and await polkit.is_root(bus, caller.name)

    # --- signals: the daemon's ``Listener`` ---------------------------------------------------------------------------

    def notice_shown(self, active: ActiveNotice) -> None:
        """See ``ports.Listener``."""
        self._signal("NoticeShown", names.NOTICE_SIGNATURE, encode_notice(active.notice, active.since))

    def notice_withdrawn(self, kind: NoticeKind, drive: str) -> None:
        """See ``ports.Listener``."""
        self._signal("NoticeWithdrawn", "ss", kind.value, drive)

    def phase_changed(self, drive: str, phase: Phase) -> None:
        """See ``ports.Listener``."""
        self._signal("PhaseChanged", "ss", drive, phase.value)

    def progressed(self, drive: str, kind: JobKind, progress: Progress) -> None:
        """See ``ports.Listener``. Left out while the one before waits for a bus that does not read."""
        if self._progress_sent is not None and not self._progress_sent.done():
            return
        done = progress.files_done, progress.files_total, progress.bytes_done, progress.bytes_total
        self._progress_sent = self._signal("Progressed", names.PROGRESS_SIGNATURE, drive, kind, *done)

    def job_ended(self, drive: str, job: JobId, kind: JobKind, ending: Ending) -> None:
        """See ``ports.Listener``."""
        self._signal("JobEnded", names.JOB_ENDED_SIGNATURE, drive, int(job), kind, ending)

    def _signal(self, member: str, signature: str, *body: Any) -> "asyncio.Future[None] | None":
        return self._send(Message.new_signal(names.OBJECT_PATH, names.INTERFACE, member, signature, list(body)))

    def _send(self, message: Message) -> "asyncio.Future[None] | None":
        bus = self._bus
        if bus is None or not bus.connected:
            return None
        sent = bus.send(message)
        sent.add_done_callback(_read_result)
        return sent


def _read_result(sent: "asyncio.Future[None]") -> None:
    """A message that could not be sent is lost with its connection, which ``_stay_connected`` sees."""
    if not sent.cancelled():
        sent.exception()

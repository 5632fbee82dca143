"""The real polkitd on a private bus, with KineBackup's policy only.

Owns: its process, in a mount namespace of its own. Does not know: who asks it. There are no login sessions for it, so
everybody is somebody from elsewhere; a rule stands for the session where a test needs one.
"""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support.bus.private_bus import PrivateBus, busctl
from support.project import SYSTEMD

POLICY = SYSTEMD / "org.kinebackup.policy"

_SCRIPT = """
mount -t tmpfs tmpfs /mnt && mkdir /mnt/actions /mnt/rules /mnt/local && cp "$1" /mnt/actions/ &&
printf '%s' "$2" > /mnt/rules/10-test.rules &&
mount --bind /mnt/actions /usr/share/polkit-1/actions && mount --bind /mnt/rules /usr/share/polkit-1/rules.d &&
{ [ ! -d /etc/polkit-1/rules.d ] || mount --bind /mnt/local /etc/polkit-1/rules.d; } &&
exec /usr/lib/polkit-1/polkitd --no-debug
"""


@asynccontextmanager
async def polkitd(bus: PrivateBus, rule: str = "") -> AsyncIterator[None]:
    """polkit answers on that bus; ``rule`` is JavaScript, as in /etc/polkit-1/rules.d."""
    process = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", _SCRIPT, "sh", str(POLICY), rule],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DBUS_SYSTEM_BUS_ADDRESS": bus.address},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _attempt in range(200):
            asked = await busctl(bus, "status", "org.freedesktop.PolicyKit1", user=0)
            if asked.code == 0:
                break
            assert process.poll() is None, "polkitd ended"
            await asyncio.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.communicate()

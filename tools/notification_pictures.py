"""The documents' pictures of notifications: ``python -m tools.notification_pictures docs/images``.

Owns: which notices are shown. Does not know: how one looks; the agent's own code and a real server of notifications
say it.
"""

import asyncio
import sys
from pathlib import Path
from typing import Final

from kinebackup.desktop.appearance import appearance_of
from kinebackup.desktop.notifications import Notifications
from kinebackup.i18n import set_language
from kinebackup.policy.notices import Notice, NoticeKind
from tools.headless_desktop import HeadlessDesktop, headless_desktop, missing_programs, wait_until

SHOWN: Final = {
    "notification-plug-in.png": Notice(NoticeKind.PLUG_IN, "CABINET", days=2),
    "notification-take-home.png": Notice(NoticeKind.SAFE_TAKE_HOME, "DOMICILE"),
}


def main(folder: Path) -> None:
    set_language("fr")
    if missing := missing_programs():
        raise SystemExit(f"not installed here: {', '.join(missing)}")
    for name, notice in SHOWN.items():
        with headless_desktop() as made:
            made.start_dunst()
            asyncio.run(_show(made, notice, folder / name))


async def _show(made: HeadlessDesktop, notice: Notice, target: Path) -> None:
    notifications = Notifications(made.bus.address, lambda _heard: None)
    await notifications.open()
    try:
        await notifications.show(appearance_of(notice, await notifications.capabilities()))
        wait_until(lambda: made.displayed() == 1)
        made.picture(target)
    finally:
        await notifications.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

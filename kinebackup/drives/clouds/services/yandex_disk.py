"""Yandex.Disk.

Owns: its configuration. Does not know: other services.
"""

import re
from collections.abc import Iterator
from typing import Final

from kinebackup.drives.clouds.description import CloudService, SyncedFolder
from kinebackup.drives.clouds.home import Home

_DIR: Final = re.compile(r'^\s*dir\s*=\s*"?(.+?)"?\s*$', re.MULTILINE)


def _in_home(home: Home) -> Iterator[SyncedFolder]:
    for config in home.config_files("yandex-disk/config.cfg"):
        text = home.system.read_text(config)
        if text is not None:
            for path in _DIR.findall(text) or ["Yandex.Disk"]:
                yield SyncedFolder("Yandex.Disk", home.expand(path), config)


SERVICES: Final = (CloudService("Yandex.Disk", in_home=_in_home),)

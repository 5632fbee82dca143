"""Syncthing: no cloud of its own, but the files leave for other devices all the same.

Owns: its config.xml and markers. Does not know: other services.
"""

from collections.abc import Iterator
from typing import Final

from kinebackup.drives.clouds.description import CloudService, Marker, SyncedFolder
from kinebackup.drives.clouds.home import Home, not_understood


def _in_home(home: Home) -> Iterator[SyncedFolder]:
    for config in (*home.state_files("syncthing/config.xml"), *home.config_files("syncthing/config.xml")):
        text = home.system.read_text(config)
        if text is None:
            continue
        for path in _folders(config, text):
            yield SyncedFolder("Syncthing", home.expand(path), config)


def _folders(config: str, text: str) -> list[str]:
    """The ``path`` of each <folder> directly below <configuration>; the one below <defaults> is only a template."""
    from xml.etree import ElementTree  # here, for it is heavy and needed only where Syncthing is installed

    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        not_understood(config, "declares entities")  # Syncthing writes none; a hostile user might, to fill our memory
    try:
        document = ElementTree.fromstring(text)  # noqa: S314 - without entities, and of bounded size
    except ElementTree.ParseError as error:
        not_understood(config, str(error))
    return [folder.attrib["path"] for folder in document.findall("folder") if folder.attrib.get("path")]


SERVICES: Final = (
    CloudService("Syncthing", in_home=_in_home, markers=(Marker(".stfolder"), Marker(".stignore", "file"))),
)

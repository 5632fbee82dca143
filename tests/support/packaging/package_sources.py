"""Where this computer has its Debian packages from, to build other Debians from the same place.

Owns: reading apt's lists in both of their forms. Does not know: what is built.
"""

from pathlib import Path

_APT = Path("/etc/apt")


def package_sources() -> str:
    """All of them, whatever they are. An empty line ends an entry of the one form, and means nothing in the other."""
    lists = (_APT / "sources.list", *sorted((_APT / "sources.list.d").glob("*.list")))
    modern = sorted((_APT / "sources.list.d").glob("*.sources"))
    return "\n\n".join(file.read_text("utf-8") for file in (*lists, *modern) if file.is_file())


def main_archive(suite: str) -> str:
    """The archive of this computer's release, for another ``suite``: a mirror need not have its updates and fixes."""
    here = codename()
    for entry in package_sources().split("\n\n"):
        lines = [line for line in entry.splitlines() if line and not line.startswith("#")]
        for line in lines:
            if line.startswith("deb ") and here in line.split():
                return line.replace(f" {here} ", f" {suite} ")
        suites = next((line for line in lines if line.startswith("Suites:")), "")
        if here in suites.split():
            return "\n".join(f"Suites: {suite}" if line == suites else line for line in lines)
    raise LookupError(f"no package source of {here} in {_APT}")


def codename() -> str:
    """The name of the Debian that runs here, such as ``bookworm``."""
    lines = Path("/etc/os-release").read_text("utf-8").splitlines()
    return next(line.partition("=")[2].strip('"') for line in lines if line.startswith("VERSION_CODENAME="))

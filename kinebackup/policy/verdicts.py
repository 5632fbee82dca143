"""A verdict on a path: accepted or refused, for which reason, with which warnings.

Owns: the reasons, and the wording that several judgements share. Does not know: the rules (targets.py, exposure.py).
"""

from dataclasses import dataclass
from typing import Literal

from kinebackup.i18n import _
from kinebackup.policy.target_facts import TargetFacts

RefusalReason = Literal[
    "accepted",
    "cloud",  # the service takes the files elsewhere
    "cloud-unclear",  # it may: its configuration could not be read
    "network",
    "fuse",
    "memory",
    "overlay",
    "pseudo",
    "inside-source",
    "contains-source",
    "not-found",
    "not-a-directory",
    "not-readable",
    "not-mounted",
    "mount-hidden",  # a folder of which it cannot be told on which file system it lies
    "locked",
    "no-filesystem",
    "several-filesystems",
    "system-disk",
    "not-usb",
    "not-drive-top",
    "read-only",
    "repository-is-link",
    "repository-missing",
    "other-files",
]


@dataclass(frozen=True, slots=True)
class TargetWarning:
    """Something worth saying that refuses nothing."""

    message: str
    hint: str
    service: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a place may be used. ``service`` names the cloud or the kind of share, where one is the reason."""

    verdict: Literal["accepted", "refused"]
    reason: RefusalReason
    message: str
    hint: str
    service: str | None = None
    warnings: tuple[TargetWarning, ...] = ()

    @property
    def accepted(self) -> bool:
        return self.verdict == "accepted"


def refused(reason: RefusalReason, message: str, hint: str, *, service: str | None = None) -> Verdict:
    return Verdict("refused", reason, message, hint, service)


def refused_as_filesystem(facts: TargetFacts, reason: Literal["fuse", "memory", "overlay", "pseudo"]) -> Verdict:
    """The filesystem is none to write a backup on."""
    match reason:
        case "memory":
            message = _("{path} is in memory ({filesystem}): it is lost when the computer stops")
        case "fuse":
            message = _("where {path} keeps its files cannot be told ({filesystem})")
        case "overlay" | "pseudo":
            message = _("{path} is no place for files that must last ({filesystem})")
    message = message.format(path=facts.path, filesystem=facts.filesystem)
    return refused(reason, message, _("use a USB drive that serves for backups only"))


def unclear_warnings(facts: TargetFacts) -> tuple[TargetWarning, ...]:
    """One for each service: a person looks once into its settings, not once for each file that was found."""
    services = dict.fromkeys(match.service for match in facts.unclear)
    return tuple(
        TargetWarning(
            _("what {service} synchronises could not be read").format(service=cloud_name(service)),
            _("check in its settings that it does not synchronise {path}").format(path=facts.path)
            if service
            else _("run the command as root, which can read it"),
            service or None,
        )
        for service in services
    )


def cloud_name(service: str) -> str:
    return service or _("another user")

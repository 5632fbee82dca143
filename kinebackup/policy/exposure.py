"""Patient files that would leave this computer unencrypted: sources that a cloud synchronises, restores into one.

Owns: the judgement of a source and of a restore destination. Does not know: how the facts are read (drives/ does).
"""

from kinebackup.i18n import _
from kinebackup.policy.target_facts import CloudMatch, TargetFacts
from kinebackup.policy.verdicts import (
    TargetWarning,
    Verdict,
    cloud_name,
    refused,
    refused_as_filesystem,
    unclear_warnings,
)


def judge_source(source: str, cloud: CloudMatch | None) -> TargetWarning | None:
    """A warning where a cloud synchronises the source: its files have left this computer, unencrypted."""
    if cloud is None or cloud.kind == "network":
        return None
    if cloud.certain:
        message = _("{service} synchronises the source {path}: these files have already left this computer")
        hint = _("keep patient files out of synchronised folders; a host of health data must be HDS-certified")
    else:
        message = _("{service} may synchronise the source {path}: what it synchronises could not be read")
        hint = _("look at the folders listed in the settings of {service}")
    service = cloud_name(cloud.service)
    return TargetWarning(
        message.format(service=service, path=source), hint.format(service=service), cloud.service or None
    )


def judge_restore_destination(facts: TargetFacts) -> Verdict:
    """Whether files may be restored there. A folder that a cloud synchronises is refused.

    A configuration that could not be read only causes a warning: here the first promise is that the data comes back.
    """
    cloud = facts.cloud
    if cloud is not None and cloud.certain and cloud.kind == "cloud":
        return refused(
            "cloud",
            _("{path} is synchronised by {service}: the restored files would leave this computer").format(
                path=facts.path, service=cloud.service
            ),
            _("choose a folder that no cloud synchronises"),
            service=cloud.service,
        )
    if facts.mount_kind == "pseudo":
        return refused_as_filesystem(facts, "pseudo")
    warnings = unclear_warnings(facts)
    if cloud is not None and cloud.kind == "network":
        message = _("{path} is on another computer ({service})").format(path=facts.path, service=cloud.service)
        warnings = (TargetWarning(message, _("restored files are not encrypted there"), cloud.service), *warnings)
    elif facts.mount_kind == "fuse":
        message = refused_as_filesystem(facts, "fuse").message
        warnings = (TargetWarning(message, _("make sure that it is no cloud")), *warnings)
    return Verdict("accepted", "accepted", "", "", warnings=warnings)

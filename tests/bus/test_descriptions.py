"""The interface, the policy of the bus and that of polkit say the same as the code."""

import xml.etree.ElementTree as ET

from support.project import SYSTEMD

from kinebackup.bus import names
from kinebackup.bus.interface import interface

LANG = "{http://www.w3.org/XML/1998/namespace}lang"


def test_the_interface_has_the_signatures_that_are_named() -> None:
    described = interface()
    methods = {method.name: (method.in_signature, method.out_signature) for method in described.methods}
    signals = {signal.name: signal.signature for signal in described.signals}
    assert described.name == names.INTERFACE
    assert methods["Notices"] == ("", f"a{names.NOTICE_SIGNATURE}")
    assert methods["Drives"] == ("", f"a{names.DRIVE_SIGNATURE}")
    assert methods["Snooze"] == ("ssx", "")
    assert signals["NoticeShown"] == names.NOTICE_SIGNATURE
    assert signals["Progressed"] == names.PROGRESS_SIGNATURE
    assert signals["JobEnded"] == names.JOB_ENDED_SIGNATURE


def test_every_argument_has_a_name() -> None:
    described = interface()
    arguments = [argument for method in described.methods for argument in (*method.in_args, *method.out_args)]
    arguments += [argument for signal in described.signals for argument in signal.args]
    assert len(arguments) == 29
    assert all(argument.name for argument in arguments)


def test_polkit_knows_every_action_in_both_languages() -> None:
    policy = ET.parse(SYSTEMD / "org.kinebackup.policy")
    actions = {action.get("id"): action for action in policy.iter("action")}
    assert set(actions) == {names.ACTION_WORK, names.ACTION_EJECT, names.ACTION_ANSWER, names.ACTION_LIFT_ALARM}
    for action in actions.values():
        for tag in ("description", "message"):
            assert [text.get(LANG) for text in action.findall(tag)] == [None, "fr"]


def test_only_an_administrator_lifts_the_alarm_and_who_sits_there_does_the_rest() -> None:
    policy = ET.parse(SYSTEMD / "org.kinebackup.policy")
    allowed = {
        action.get("id"): [(each.tag, each.text) for each in action.findall("defaults/*")]
        for action in policy.iter("action")
    }
    assert allowed == {
        "org.kinebackup.work": [
            ("allow_any", "auth_admin"),
            ("allow_inactive", "auth_admin"),
            ("allow_active", "yes"),
        ],
        "org.kinebackup.eject": [
            ("allow_any", "auth_admin"),
            ("allow_inactive", "auth_admin"),
            ("allow_active", "yes"),
        ],
        "org.kinebackup.answer": [("allow_any", "no"), ("allow_inactive", "no"), ("allow_active", "yes")],
        "org.kinebackup.lift-alarm": [
            ("allow_any", "auth_admin"),
            ("allow_inactive", "auth_admin"),
            ("allow_active", "auth_admin"),
        ],
    }


def test_the_bus_gives_the_name_to_root_only_and_takes_calls_of_named_interfaces_only() -> None:
    policies = ET.parse(SYSTEMD / "org.kinebackup.Daemon1.conf").getroot().findall("policy")
    default, root = policies
    assert default.attrib == {"context": "default"}
    assert [rule.attrib for rule in default.findall("deny")] == [{"own": names.BUS_NAME}]
    assert all(rule.get("send_destination") == names.BUS_NAME for rule in default.findall("allow"))
    assert all(rule.get("send_interface") for rule in default.findall("allow"))
    assert root.attrib == {"user": "root"}
    assert [rule.attrib for rule in root] == [{"own": names.BUS_NAME}]

"""The daemon's interface, as whoever looks at the bus reads it.

Owns: members, their arguments' names and types; the service dispatches by it, and a test compares it with names.py.
Does not know: what the members do.
"""

from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dbus_fast.introspection import Interface

XML: Final = """
<node>
  <interface name="org.kinebackup.Daemon1">
    <method name="Status">
      <arg name="json" type="s" direction="out"/>
    </method>
    <method name="Notices">
      <arg name="notices" type="a(sssusux)" direction="out"/>
    </method>
    <method name="Drives">
      <arg name="drives" type="a(ssts)" direction="out"/>
    </method>
    <method name="BackUpNow">
      <arg name="drive" type="s" direction="in"/>
    </method>
    <method name="TestRestore">
      <arg name="drive" type="s" direction="in"/>
    </method>
    <method name="Eject">
      <arg name="drive" type="s" direction="in"/>
    </method>
    <method name="Snooze">
      <arg name="kind" type="s" direction="in"/>
      <arg name="drive" type="s" direction="in"/>
      <arg name="until_unix" type="x" direction="in"/>
    </method>
    <method name="Acknowledge">
      <arg name="kind" type="s" direction="in"/>
      <arg name="drive" type="s" direction="in"/>
    </method>
    <method name="LiftAlarm"/>
    <method name="LastReport">
      <arg name="drive" type="s" direction="in"/>
      <arg name="kind" type="s" direction="in"/>
      <arg name="json" type="s" direction="out"/>
    </method>
    <method name="Reload"/>
    <signal name="NoticeShown">
      <arg name="notice" type="(sssusux)"/>
    </signal>
    <signal name="NoticeWithdrawn">
      <arg name="kind" type="s"/>
      <arg name="drive" type="s"/>
    </signal>
    <signal name="PhaseChanged">
      <arg name="drive" type="s"/>
      <arg name="phase" type="s"/>
    </signal>
    <signal name="Progressed">
      <arg name="drive" type="s"/>
      <arg name="kind" type="s"/>
      <arg name="files_done" type="t"/>
      <arg name="files_total" type="t"/>
      <arg name="bytes_done" type="t"/>
      <arg name="bytes_total" type="t"/>
    </signal>
    <signal name="JobEnded">
      <arg name="drive" type="s"/>
      <arg name="job" type="t"/>
      <arg name="kind" type="s"/>
      <arg name="ending" type="s"/>
    </signal>
    <property name="Version" type="s" access="read">
      <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="const"/>
    </property>
  </interface>
</node>
"""


@cache
def interface() -> "Interface":
    """The same, parsed."""
    from dbus_fast.introspection import Node

    return Node.parse(XML).interfaces[0]

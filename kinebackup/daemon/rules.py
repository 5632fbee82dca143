"""The rules of the daemon, out of the configuration.

Owns: nothing but this translation. Does not know: what the rules are for.
"""

from datetime import tzinfo

from kinebackup.config import Config
from kinebackup.policy.schedule import PracticeHours, Rules


def rules_of(config: Config, zone: tzinfo) -> Rules:
    """``zone`` is the practice's: times of the configuration are those of the clock on its wall."""
    hours, automatic = config.hours, config.automatic
    return Rules(
        hours=PracticeHours(
            zone=zone,
            working_days=frozenset(hours.working_days),
            opens=hours.opens,
            closes=hours.closes,
            reminder=hours.reminder,
            rotation_day=hours.rotation_day,
        ),
        rotation=config.rotation,
        backup_days=automatic.backup_days,
        prune_days=automatic.prune_days,
        automatic=automatic.when_plugged_in,
        pause_on_battery=automatic.pause_on_battery,
    )

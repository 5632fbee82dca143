"""A file that breaks a rule of the format.

Owns: the one error whose details are not translated. Does not know: the rules.
"""

from kinebackup.errors import Damaged
from kinebackup.i18n import _


class Malformed(Damaged):
    """What was read is not what any KineBackup writes: somebody made it, or a defect did.

    A failing drive does not: its bytes fail authentication, or a check with a translated message, first. So ``rule`` is
    for whoever looks into it, and in English; the person reads the sentence around it.
    """

    def __init__(self, rule: str) -> None:
        super().__init__(_("it is not written as the format demands ({rule})").format(rule=rule))

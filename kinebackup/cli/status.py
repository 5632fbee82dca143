"""``kinebackup status``: one sentence, then the drives.

Owns: the command. Does not know: how the practice is judged. It opens no drive and reads no key, so that it answers at
once.
"""

import click

from kinebackup.cli.output import with_hint
from kinebackup.cli.overview import drive_rows
from kinebackup.cli.session import Session, pass_session
from kinebackup.i18n import _
from kinebackup.jobs.status_job import overview, source_notices
from kinebackup.sentences import text_of


@click.command(help=_("Say in one screen whether the practice is protected."))
@pass_session
def status(session: Session, /) -> None:
    found = overview(session.config, session.world)
    notices = source_notices(session.config, session.world)
    assessment = found.assessment
    sentence = text_of(assessment.headline)
    more = [text_of(each) for each in assessment.more]
    document = {
        "sentence": sentence,
        "protected": assessment.protected,
        "simulation": assessment.simulation,
        "say": assessment.headline.say,
        "more": more,
        "drives": found.drives,
        "warnings": [notice.message for notice in notices],
    }

    def words() -> str:
        parts = [f"{sentence}."]
        parts += [f"  · {each}." for each in more]
        parts += [f"  ! {with_hint(notice.message, notice.hint)}" for notice in notices]
        table = drive_rows(found, session.world.zone)
        return "\n".join([*parts, "", table] if table else parts)

    session.output.result(document, words)

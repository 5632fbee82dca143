"""What no hint may say: whoever has just been told of damage must not be sent to delete backups.

Owns: the messages that name the command which deletes. Does not know: when they are shown.
"""

import re

from support.project import ROOT

CATALOGUE = ROOT / "kinebackup" / "locale" / "fr" / "LC_MESSAGES" / "kinebackup.po"

NAME_IT = {
    # The drive is full, and sound.
    "remove old backups with: kinebackup prune; or use a larger drive",
    "supprimez d’anciennes sauvegardes avec\u00a0: kinebackup prune\u00a0; ou prenez un disque plus grand",
    # What a prune has refused to do, it refuses again, and says why.
    "The backups on the drive {drive} are not affected. To see why, run “kinebackup prune”.",
    "Les sauvegardes du disque {drive} ne sont pas touchées. "
    "Pour savoir pourquoi, lancez «\u00a0kinebackup prune\u00a0».",
}


def messages() -> list[str]:
    """Every message of the program, English and French, on one line each."""
    text = CATALOGUE.read_text(encoding="utf-8").replace('"\n"', "")
    return re.findall(r'^msg(?:id|id_plural|str(?:\[\d\])?) "(.*)"$', text, re.MULTILINE)


def test_no_message_but_that_of_a_full_drive_sends_anybody_to_prune() -> None:
    found = messages()
    assert len(found) > 1000
    assert {text for text in found if "kinebackup prune" in text} == NAME_IT


def test_nobody_is_told_to_remove_what_is_damaged() -> None:
    wrong = re.compile(
        r"(remove|delete)\w* (what is|the) damaged|supprim\w+ (ensuite )?ce qui est abîmé", re.IGNORECASE
    )
    assert [text for text in messages() if wrong.search(text)] == []

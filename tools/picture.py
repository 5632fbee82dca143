"""Draw the README's terminal picture from a real run: ``python tools/picture.py docs/images/demo.svg``.

Owns: which commands of the demonstration are shown, and the look of the terminal. Does not know: what they print.
"""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

SHOWN = ("backup", "restore-test", "status")
_PROMPT, _COMMAND = "bold #a6e22e", "bold #f8f8f2"


def main(target: Path) -> None:
    steps = _last_of_each(_play())
    width = max(len(line) for step in steps for line in step["output"].splitlines())
    console = Console(record=True, width=width + 1, file=io.StringIO(), force_terminal=True)
    for step in steps:
        console.print(Text.assemble(("$ ", _PROMPT), (step["command"], _COMMAND)), soft_wrap=True)
        console.print(Text(step["output"] + "\n"), soft_wrap=True)
    svg = console.export_svg(title="KineBackup", theme=MONOKAI)
    # The picture is read from a repository, offline too: no font from elsewhere.
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = svg.replace("<text ", '<text xml:space="preserve" ')  # some viewers drop spaces at the beginning of a line
    target.write_text(re.sub(r"[ \t]+\n", "\n", svg).strip() + "\n", encoding="utf-8")


def _play() -> list[dict[str, str]]:
    done = subprocess.run(
        [sys.executable, "-m", "kinebackup", "demo", "--json"],
        env=os.environ | {"LC_ALL": "fr_FR.UTF-8"},
        stdout=subprocess.PIPE,
        check=True,
    )
    steps: list[dict[str, str]] = json.loads(done.stdout)["steps"]
    return steps


def _last_of_each(steps: list[dict[str, str]]) -> list[dict[str, str]]:
    """Of each command shown, the last time before the drive was damaged on purpose; the status at the end."""
    damaged = next(number for number, step in enumerate(steps) if " verify " in step["command"])
    found = {step["command"].split()[1]: step for step in steps[:damaged] + steps[-1:]}
    return [found[name] for name in SHOWN]


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""The README's list of options, from the table: ``python -m tests.config.readme``."""

import re
from pathlib import Path

from hopcheck.config.options import TABLE, Option

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- options:begin -->\n", "<!-- options:end -->"
# Where in the file a key may stand, but for ``file``: at the top and in a [[host]] table.
PLACES = {"top": " (top)", "fleet": " (top)", "outlets": " (top)", "host": " (`[[host]]`)"}
NOT_COMMANDS = {"file", "again", *PLACES}


def line(row: Option) -> str:
    places = row.at.split("|")
    commands = ", ".join(place for place in places if place not in NOT_COMMANDS)
    spelled = ", ".join(row.flags) or f"--{row.flag}"
    value = f" {row.metavar or '|'.join(row.choices)}".rstrip() if row.kind != "flag" else ""
    option = f"`{spelled}{value}`" if commands else ""
    key = next((f"`{row.key}`{PLACES[place]}" for place in places if place in PLACES), "")
    if "file" in places:
        key = f"`{row.key}`"
    cells = (option, key, commands, row.help().replace("  [default: ", " [default: "))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def listed(words: str) -> str:
    """`words` with the list between its marks as the table has it."""
    head = "| option | in `hopcheck.toml` | of | |\n|---|---|---|---|\n"
    made = BEGIN + head + "".join(line(row) for row in TABLE) + END
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    found, count = re.subn(pattern, lambda _: made, words, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{README}: the marks {BEGIN.strip()} and {END} stand {count} times")
    return found


if __name__ == "__main__":
    README.write_text(listed(README.read_text("utf-8")), "utf-8")

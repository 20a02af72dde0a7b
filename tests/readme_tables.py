"""The tables of README.md that its measurements write: each stands between two comments with its name."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def put_table(name: str, table: str) -> None:
    """Raises ValueError if the README has no place for it."""
    marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    text, places = marked.subn(lambda found: f"{found[1]}{table.rstrip()}\n{found[2]}", README.read_text("utf-8"))
    if places != 1:
        raise ValueError(f"README.md has {places} places for the table {name}")
    README.write_text(text, "utf-8")

"""How much is taken of what an agent says in one go: nobody reads a megabyte of it."""

from __future__ import annotations

READ = 20_000
"""Characters of one row of the log that are read for people."""
SHOWN = 4000
"""Characters that are shown of one line: so far below that a secret in them is whole."""
_MARK = "… [the rest is left out]"
_BYTES = 4 * (READ + 1)
COLUMN = (
    f"CASE WHEN length(CAST(text AS BLOB)) <= {_BYTES} THEN text "
    f"ELSE substr(CAST(text AS BLOB), 1, {_BYTES}) END"
)
"""A row's `text` as `read` takes it. SQLite would end a text at its first NUL."""


def read(column: str | bytes) -> str:
    """What stands in a row, as far as it is read for people."""
    return first_part(column if isinstance(column, str) else column.decode("utf-8", "ignore"))


def first_part(text: str) -> str:
    """The beginning of what isn't redacted yet: whole lines or words, so that no secret is
    divided."""
    if len(text) <= READ:
        return text
    part = text[:READ]
    end = part.rfind("\n", READ // 2)
    if end < 0:
        end = part.rfind(" ", READ // 2)
    return (part if end < 0 else part[:end]) + _MARK


def fitting(text: str) -> str:
    """The text, redacted already, with the rest of each very long line left out."""
    if len(text) <= SHOWN:
        return text
    lines = text.split("\n")
    return "\n".join(f"{one[:SHOWN]}{_MARK}" if len(one) > SHOWN + len(_MARK) else one
                     for one in lines)  # fmt: skip

"""Reply → Telegram's HTML and keyboard. Pure; knows the platform's limits.

Text is cut before it is marked up, so the markup is always whole. What doesn't fit into
one message follows as a file.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bot.words import as_text, clean, cut, one_line, table_lines, units
from core.commands.reply import Attachment, Button, Reply, Table

TEXT_LIMIT = 4096
CAPTION_LIMIT = 1024
NOTE_LIMIT = 200
PLACEHOLDER_LIMIT = 64
LABEL_LIMIT = 64
MOST_BUTTONS = 100
WIDE = 16
"""Labels up to this length stand two in a row."""

_MENTION = re.compile(r"@(?=\w)")
_CUT_NOTE = "Shortened; the whole text is in the file."


@dataclass(frozen=True, slots=True)
class Key:
    """A drawn button: what it says and the opaque key that a press brings back."""

    label: str
    data: str


def pieces(reply: Reply) -> list[Reply]:
    """The replies of one message each that it takes; the first is the one to edit later."""
    if is_file(reply):
        return [reply]
    main = fitted(replace(reply, attachments=()), _CUT_NOTE)
    files = list(reply.attachments)
    if main.lines[-1:] == (_CUT_NOTE,) and reply.lines[-1:] != (_CUT_NOTE,):
        files.insert(0, Attachment("whole.txt", as_text(reply)))
    return [main, *(Reply(title=file.name, attachments=(file,), silent=True) for file in files)]


def is_file(reply: Reply) -> bool:
    """Whether it is one file with a caption and nothing else."""
    return len(reply.attachments) == 1 and not (
        reply.lines or reply.fields or reply.table or reply.notes or reply.code or reply.buttons
    )


def fitted(reply: Reply, note: str = "Shortened.") -> Reply:
    """The reply, cut so that it fits into one message with `note` under it; unchanged in
    meaning when it does."""
    reply = defused(reply)
    if units(to_text(reply)) <= TEXT_LIMIT:
        return reply
    spoken = list(_button_lines(reply.buttons))
    reserve = units(note) + 8 + sum(units(line) + 1 for line in spoken)
    room = _Room(TEXT_LIMIT - reserve)
    title = room.take(cut(reply.title, 1000))
    lines = room.several(reply.lines)
    fields = tuple(
        (name, value)
        for name, given in reply.fields
        if (value := room.take(given, units(name) + 2))
    )
    table = _fitted_table(reply.table, room)
    notes = room.several(reply.notes)
    code = room.take(reply.code, 2) if reply.code else None
    return replace(
        reply,
        title=title,
        lines=(*lines, note),
        fields=fields,
        table=table,
        notes=notes,
        code=code,
    )


def _fitted_table(table: Table | None, room: _Room) -> Table | None:
    if table is None:
        return None
    header, *lines = table_lines(table)
    room.take(header)
    rows = [row for row, line in zip(table.rows, lines, strict=True) if room.whole(line)]
    return Table(table.columns, tuple(rows)) if rows else None


class _Room:
    """The UTF-16 units that are left in a message. What comes after a cut gets nothing."""

    def __init__(self, left: int) -> None:
        self._left = left

    def take(self, text: str, extra: int = 0) -> str:
        """As much of the text as fits, with a line break and `extra` units around it."""
        left = self._left - extra - 1
        got = cut(text, left) if left > 0 else ""
        self._left = left - units(got) if got == text else 0
        return got

    def several(self, texts: Sequence[str]) -> tuple[str, ...]:
        return tuple(got for text in texts if (got := self.take(text)) or (not text and self._left))

    def whole(self, text: str) -> bool:
        """Take all of it or nothing."""
        fits = units(text) + 1 <= self._left
        self._left = self._left - units(text) - 1 if fits else 0
        return fits


def defused(reply: Reply) -> Reply:
    """Clean text in which nobody is mentioned. Code and files stay as they are, but clean."""
    table = reply.table
    return replace(
        reply,
        title=_calm(one_line(reply.title)) or "…",
        lines=tuple(_calm(clean(line)) for line in reply.lines),
        fields=tuple((_calm(clean(name)), _calm(clean(value))) for name, value in reply.fields),
        table=table
        and Table(
            tuple(_calm(one_line(cell)) for cell in table.columns),
            tuple(tuple(_calm(one_line(cell)) for cell in row) for row in table.rows),
        ),
        notes=tuple(_calm(clean(line)) for line in reply.notes),
        code=None if reply.code is None else clean(reply.code),
    )


def _calm(text: str) -> str:
    # A word joiner after the @ shows nothing and makes it no mention any more.
    return _MENTION.sub("@\u2060", text)


def to_html(reply: Reply) -> str:
    """A reply that fits (see `pieces`) as Telegram's HTML."""
    parts = [_escape(reply.title) if reply.error else f"<b>{_escape(reply.title)}</b>"]
    parts += [_escape(line) for line in _body(reply)]
    if reply.code:
        parts.append(f"<pre>{_escape(reply.code)}</pre>")
    parts += [_escape(line) for line in _button_lines(reply.buttons)]
    return "\n".join(parts)


def to_text(reply: Reply) -> str:
    """The same text without markup: what a reader of `to_html` sees."""
    code = [reply.code] if reply.code else []
    return "\n".join([reply.title, *_body(reply), *code, *_button_lines(reply.buttons)])


def caption(reply: Reply) -> str:
    """What stands under a file; plain text."""
    title = reply.title if reply.title != reply.attachments[0].name else ""
    return cut(_calm(one_line(title)), CAPTION_LIMIT)


def keyboard(buttons: Sequence[Button]) -> list[list[Key]]:
    """The buttons in rows: two short ones side by side, a long one alone."""
    rows: list[list[Key]] = []
    for button in [button for button in buttons if button.key][:MOST_BUTTONS]:
        key = Key(cut(one_line(button.label), LABEL_LIMIT) or "·", button.key or "")
        last = rows[-1] if rows else []
        if len(last) == 1 and _short(last[0].label) and _short(key.label):
            last.append(key)
        else:
            rows.append([key])
    return rows


def placeholder(reply: Reply) -> str | None:
    """What the input field says when the reply asks for words; None when it asks for none."""
    asked = reply.extra.get("force_reply")
    return None if asked is None else cut(one_line(asked), PLACEHOLDER_LIMIT)


def toast(text: str) -> str:
    """What a press is acknowledged with."""
    return cut(one_line(text), NOTE_LIMIT)


def _body(reply: Reply) -> Iterator[str]:
    yield from reply.lines
    yield from (f"{name}: {value}" for name, value in reply.fields)
    if reply.table is not None:
        yield from table_lines(reply.table)
    yield from reply.notes


def _button_lines(buttons: Sequence[Button]) -> Iterator[str]:
    """Buttons that have no key can only be typed."""
    return (
        f"{cut(one_line(b.label), LABEL_LIMIT)}: /{cut(one_line(b.command), 128)}"
        for b in buttons[:10]
        if not b.key
    )


def _short(label: str) -> bool:
    return units(label) <= WIDE


def _escape(text: str) -> str:
    return html.escape(text, quote=False)

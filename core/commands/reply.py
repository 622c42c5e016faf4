"""What Bullpen says, before any platform has dressed it.

A face renders a Reply; it adds and drops no meaning. Text is plain: a face escapes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec


@dataclass(frozen=True, slots=True)
class Button:
    """`command` is what a press says (`approve G-17`). `gate` and `hash` bind it to what was
    shown. `key` is the one-time key that stands for it on a platform; `ask` makes the
    button ask for words first (a face prompts, and sends the command with the answer)."""

    label: str
    command: str
    style: str = "default"
    gate: int | None = None
    hash: str | None = None
    ask: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows for a list; a face lays them out for its width (a phone: one line a row)."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """One message. First line: what and which task. `lines` are paragraphs, `notes` those that
    speak of the table and stand below it, `code` a block (diff, log). `key` names a message that
    a later Reply with the same key replaces."""

    title: str
    lines: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    table: Table | None = None
    notes: tuple[str, ...] = ()
    code: str | None = None
    attachments: tuple[Attachment, ...] = ()
    buttons: tuple[Button, ...] = ()
    key: str | None = None
    silent: bool = False
    error: bool = False
    extra: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        return msgspec.json.encode(self).decode()

    @staticmethod
    def from_json(text: str) -> Reply:
        return msgspec.json.decode(text, type=Reply)

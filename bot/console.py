"""The terminal as a Face: one person, plain text, buttons as what to type.

A live message is edited in place elsewhere; here one line is printed when its title changes.
"""

from __future__ import annotations

import contextlib
import textwrap
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import TextIO

from bot.words import clean, one_line
from core.commands.reply import Button, Reply, Table
from core.errors import ChatGone, MessageGone

_BOLD, _DIM, _RED, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[0m"
_WIDEST_CELL = 48
_REMEMBERED = 500


class ConsoleFace:
    """Prints to a stream; colours only where that is a terminal."""

    platform = "console"

    def __init__(self, out: TextIO, *, width: int = 100, colour: bool | None = None) -> None:
        """`width`: columns of the terminal. `colour`: None decides by the stream."""
        self._out = out
        self._width = max(width, 40)
        self._colour = out.isatty() if colour is None else colour
        self.heed: Callable[[Reply], None] | None = None
        """Called with each reply that was shown: it may ask to follow an agent."""
        self._last = 0
        self._shown: OrderedDict[str, str] = OrderedDict()

    async def post(
        self, chat: str, reply: Reply, *, silent: bool = False, reply_to: str | None = None
    ) -> str:
        self._last += 1
        message = str(self._last)
        self._write(render(reply, self._width, self._colour) + "\n\n")
        self._remember(message, reply)
        if self.heed is not None:
            self.heed(reply)
        return message

    async def edit(self, chat: str, message: str, reply: Reply) -> None:
        """A task's live message: one line, and only when its title is another. Any other is
        printed anew when it says something else. A message of an earlier process can't be
        edited: its terminal may be closed."""
        if message not in self._shown:
            raise MessageGone("That line was printed before Bullpen was started anew.")
        if self._shown[message] == _gist(reply) or "told" in reply.extra:
            return
        if _is_live(reply):
            self._write(compact(reply, self._colour) + "\n")
        else:
            self._write(render(replace(reply, code=None), self._width, self._colour) + "\n\n")
        self._remember(message, reply)

    def show(self, text: str) -> None:
        """Lines that belong to no message: what a followed agent says."""
        with contextlib.suppress(ChatGone):
            self._write(clean(text) + "\n")

    def _remember(self, message: str, reply: Reply) -> None:
        self._shown[message] = _gist(reply)
        if len(self._shown) > _REMEMBERED:
            self._shown.popitem(last=False)

    def _write(self, text: str) -> None:
        encoding = self._out.encoding or "utf-8"
        try:  # a terminal may speak less than UTF-8
            self._out.write(text.encode(encoding, "replace").decode(encoding))
            self._out.flush()
        except (OSError, ValueError) as error:
            raise ChatGone(f"The terminal is closed: {error}") from None


def _gist(reply: Reply) -> str:
    """What has to change for an edit to be worth a line."""
    if _is_live(reply):
        return one_line(reply.title)
    return render(replace(reply, code=None))


def _is_live(reply: Reply) -> bool:
    return (reply.key or "").startswith("task:")


def render(reply: Reply, width: int = 100, colour: bool = False) -> str:
    """The whole reply as lines for a terminal. Pure; no control character of others in it."""
    parts = [_style(one_line(reply.title), _RED if reply.error else _BOLD, colour)]
    parts += [_wrapped(clean(line), width) for line in reply.lines]
    parts += [_field(name, value, width) for name, value in reply.fields]
    if reply.table is not None:
        parts += _table(reply.table, colour)
    parts += [_wrapped(clean(line), width) for line in reply.notes]
    if reply.code:
        parts += ["", textwrap.indent(clean(reply.code).rstrip("\n"), "    "), ""]
    for file in reply.attachments:
        parts += [_style(f"  -- {one_line(file.name)} --", _DIM, colour), clean(file.text).rstrip()]
    parts += _buttons(reply.buttons, width, colour)
    return "\n".join(parts).rstrip("\n")


def compact(reply: Reply, colour: bool = False) -> str:
    """A live message's news in one line: its title, and its first fact."""
    fact = one_line(reply.lines[0]) if reply.lines else ""
    return one_line(reply.title) + (_style(f"  {fact}", _DIM, colour) if fact else "")


def _field(name: str, value: str, width: int) -> str:
    return _wrapped(f"{one_line(name)}: {clean(value)}", width)


def _wrapped(text: str, width: int) -> str:
    """Paragraphs wrapped and indented; what has no spaces (a path, a link) is left whole."""
    wrapper = textwrap.TextWrapper(
        width, initial_indent="  ", subsequent_indent="  ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return "\n".join(wrapper.fill(line) for line in text.split("\n"))


def _table(table: Table, colour: bool) -> list[str]:
    rows = [tuple(_cell(cell) for cell in row) for row in (table.columns, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=False)]
    lines = [
        "  " + "  ".join(cell.ljust(wide) for cell, wide in zip(row, widths, strict=False)).rstrip()
        for row in rows
    ]
    return [_style(lines[0], _DIM, colour), *lines[1:]]


def _cell(text: str) -> str:
    return textwrap.shorten(one_line(text), _WIDEST_CELL, placeholder=" …") if text else ""


def _buttons(buttons: tuple[Button, ...], width: int, colour: bool) -> list[str]:
    """Each button as the command to type; one that asks for words shows where they go."""
    if not buttons:
        return []
    typed = [_typed(button) for button in buttons]
    line = "  " + "   ".join(typed)
    lines = [line] if len(line) <= width else [f"  {command}" for command in typed]
    return [_style(text, _DIM, colour) for text in lines]


def _typed(button: Button) -> str:
    command = "/" + one_line(button.command).removeprefix("/")
    return f"{command} …" if button.ask else command


def _style(text: str, style: str, colour: bool) -> str:
    return f"{style}{text}{_PLAIN}" if colour and text else text

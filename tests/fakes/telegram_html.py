"""Telegram's HTML as its server reads it: strict about tags, blind to everything else."""

from __future__ import annotations

import html
import re

TAGS = frozenset(
    ["b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "code", "pre", "a", "span"]
)
_TOKEN = re.compile(r"<(/?)([^\s>/]*)([^>]*)>|<")
_ENTITY = re.compile(r"&(?!(?:lt|gt|amp|quot|#\d+|#x[0-9a-fA-F]+);)[a-zA-Z]+;")


class CantParse(Exception):
    """The server's words for HTML that it refuses."""


def units(text: str) -> int:
    """Length as Telegram counts it: UTF-16 code units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def parse(source: str) -> str:
    """The text that a reader sees; raises CantParse as the server would."""
    stack: list[str] = []
    shown: list[str] = []
    at = 0
    for match in _TOKEN.finditer(source):
        shown.append(_text(source[at : match.start()]))
        _take(stack, match)
        at = match.end()
    if stack:
        raise CantParse(f"Can't find end tag corresponding to start tag \"{stack[-1]}\"")
    shown.append(_text(source[at:]))
    return "".join(shown).strip()


def _take(stack: list[str], match: re.Match[str]) -> None:
    if match[2] is None or match[2].lower() not in TAGS:
        raise CantParse(f'Unsupported start tag "{match[2] or ""}" at byte offset {match.start()}')
    name = match[2].lower()
    if not match[1]:
        stack.append(name)
    elif not stack or stack.pop() != name:
        raise CantParse(f'Unexpected end tag at byte offset {match.start()}: "{name}"')


def _text(piece: str) -> str:
    if bad := _ENTITY.search(piece):
        raise CantParse(f"Unknown entity {bad[0]}")
    return html.unescape(piece)

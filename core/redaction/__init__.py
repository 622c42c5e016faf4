"""Nothing secret leaves: known secrets first, then whatever looks like one.

`Redactor.text` is for whole texts; `Redactor.stream` for output that arrives in chunks, so
that a secret that lies across a chunk's border is caught too. Both take time linear in the
text's length.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from core.redaction.known import SHORTEST, forms
from core.redaction.patterns import open_block, pattern_spans
from core.redaction.stream import StreamRedactor

__all__ = ["MARK", "SHORTEST", "Redactor", "Source", "StreamRedactor"]

MARK = "[redacted]"
"""What stands in a secret's place."""

Source = Callable[[], frozenset[str]]
"""Tells secrets that change while Bullpen runs: the same object while they haven't."""


class Redactor:
    """Replaces secrets in text by `[redacted]`.

    `secrets` are known values; each is also recognised URL-encoded, as JSON writes it and,
    from eight characters, inside base64. Values under four characters are left alone:
    they would tear ordinary words apart.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._source: Source = lambda: self._told
        self._told: frozenset[str] = frozenset()
        self._learned: frozenset[str] = frozenset()
        self.learn(secrets)

    @property
    def secrets(self) -> frozenset[str]:
        """All that are known now."""
        self._ask()
        return self._learned | self._told

    def learn(self, secrets: Iterable[str]) -> None:
        """Know these secrets too; what was one once stays one."""
        with self._lock:
            self._learned |= frozenset(secrets)
            self._know()

    def follow(self, source: Source) -> None:
        """Ask it before each text, from now on; what the former source told stays known."""
        self.learn(self._told)
        self._source = source
        self._ask()

    def _ask(self) -> None:
        told = self._source()
        if told is not self._told:
            with self._lock:
                self._told = told
                self._know()

    def _know(self) -> None:
        self._forms = forms(self._learned | self._told)
        self.reach = max((len(form) for form in self._forms if "\n" in form), default=1) - 1
        """How many characters a known secret may go on after a line's end."""
        self.longest = len(self._forms[0]) if self._forms else 0
        """The length of the longest form, in characters."""

    def __repr__(self) -> str:
        return f"Redactor(<{len(self._forms)} forms>)"

    def text(self, text: str) -> str:
        """The text with every secret replaced."""
        return self.render(text, self.spans(text))

    def stream(self) -> StreamRedactor:
        """A fresh redactor for one stream of chunks."""
        return StreamRedactor(self)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where secrets are: (start, end), in order, never overlapping."""
        self._ask()
        known = _merged(sorted(self._known_spans(text)))
        return _merged(sorted([*known, *pattern_spans(_hidden(text, known))]))

    def open_from(self, text: str) -> int | None:
        """Where a private key begins whose end hasn't come yet; None when there is none."""
        return open_block(text)

    @staticmethod
    def render(text: str, spans: Iterable[tuple[int, int]]) -> str:
        """The text with these spans replaced."""
        parts, at = [], 0
        for start, end in spans:
            parts += [text[at:start], MARK]
            at = end
        return "".join([*parts, text[at:]])

    def _known_spans(self, text: str) -> Iterable[tuple[int, int]]:
        for form in self._forms:
            at = text.find(form)
            while at >= 0:
                yield at, at + len(form)
                at = text.find(form, at + 1)


def _hidden(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The text with these spans blanked out, so that a token right behind one is found."""
    parts, at = [], 0
    for start, end in spans:
        parts += [text[at:start], "\0" * (end - start)]
        at = end
    return "".join([*parts, text[at:]])


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in spans:
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged

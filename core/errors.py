"""One family of errors, each a sentence for the person who reads it.

Every message says what was wrong and, where something can be done, what to type or
change. Nothing outside an adapter lets a foreign exception through: an adapter turns it
into one of these in one place.
"""

from __future__ import annotations


class BullpenError(Exception):
    """The family: its text is one line that may be shown to a person as it stands."""


class Unclear(BullpenError):
    """What was said can't be understood: wrong word, wrong id, wrong option."""


class Refused(BullpenError):
    """Understood, but not now or not by you. Nothing has changed."""


class Broken(BullpenError):
    """Something outside Bullpen failed: a process, git, a platform, the disk."""


class Unreachable(Broken):
    """An engine or a cluster gives no answer: what runs there may run on. Ask again later."""


class Flooded(Broken):
    """A platform asks for a pause. `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ChatGone(Broken):
    """The chat can't be written to any more (bot removed, blocked, chat deleted)."""


class MessageGone(Broken):
    """The message to edit no longer exists, or may no longer be edited."""

"""Who is told: rules send events to channels, people follow tasks and runs, and what is
critical always finds somebody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from core.model import Event, Role, Severity
from core.store.database import Tx

Place = tuple[str, str]
CRITICAL = "vibe-critical"
GRAVITY = {severity: number for number, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class Rule:
    """Events of these types (globs), at least that grave, go to `channel`."""

    channel: str
    types: tuple[str, ...] = ("*",)
    severity: Severity = Severity.INFO
    lane: str | None = None

    def fits(self, event: Event, lane: str | None) -> bool:
        """Whether it sends this event, which tells of something in that lane."""
        if GRAVITY[event.severity] < GRAVITY[self.severity]:
            return False
        if self.lane is not None and lane != self.lane:
            return False
        return any(fnmatchcase(event.type, pattern) for pattern in self.types)


@dataclass(frozen=True, slots=True)
class Audience:
    """`channels`: name → places. `people`: platform → user → role; admins are told what is
    critical where no critical channel has a place that a face can reach."""

    rules: Sequence[Rule]
    channels: Mapping[str, Sequence[Place]]
    people: Mapping[str, Mapping[str, Role]]

    def hears(self, events: Sequence[Event], lane: str | None) -> list[Place]:
        """The places of every channel that a rule sends one of these events to."""
        return [
            place
            for rule in self.rules
            if any(rule.fits(event, lane) for event in events)
            for place in self.channels.get(rule.channel, ())
        ]

    def critical(self, tx: Tx, faces: frozenset[str]) -> list[Place]:
        """Where a critical event is told whatever the rules say; a console alone is no chat."""
        places = [place for place in self.channels.get(CRITICAL, ()) if place[0] in faces]
        chats = [place for place in places if place[0] != "console"]
        if chats or not faces - {"console"}:
            return places
        return [*places, *(place for place in self._admins(tx) if place[0] in faces)]

    def _admins(self, tx: Tx) -> list[Place]:
        found = [
            (platform, user)
            for platform, users in self.people.items()
            for user, role in users.items()
            if role is Role.ADMIN
        ]
        found += [
            (row["platform"], row["user_id"])
            for row in tx.all(
                "SELECT platform, user_id FROM people WHERE role = ?", (int(Role.ADMIN),)
            )
        ]
        return list(dict.fromkeys(found))

"""Who hears of what: events become deliveries in the transaction that makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from core import cards
from core.commands.reply import Reply
from core.model import ACTIVE, Event, Role, Severity, Task
from core.store import deliveries, gates, tasks
from core.store.database import Tx

Place = tuple[str, str]
CRITICAL = "vibe-critical"
_GRAVITY = {severity: number for number, severity in enumerate(Severity)}
_TOLD = ("gate.", "task.failed", "task.completed", "pr.merged")
"""Events that a card tells of; other warnings have a message of their own."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Events of these types (globs), at least that grave, go to `channel`."""

    channel: str
    types: tuple[str, ...] = ("*",)
    severity: Severity = Severity.INFO
    lane: str | None = None


class Notifier:
    """Called with each transaction that made events, before it commits.

    `channels`: name → places. `people`: platform → user → role; admins are told what is
    critical where no critical channel has a place that `faces` can reach.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        channels: Mapping[str, Sequence[Place]],
        people: Mapping[str, Mapping[str, Role]],
        faces: frozenset[str],
    ) -> None:
        self._rules = rules
        self._channels = channels
        self._people = people
        self._faces = faces

    def __call__(self, tx: Tx) -> None:
        events = list(tx.events)
        for task_id in dict.fromkeys(e.task_id for e in events if e.task_id is not None):
            task = tasks.find(tx, task_id)
            if task is not None:
                self._tell(tx, task, [e for e in events if e.task_id == task_id])
        for event in events:
            if event.task_id is None and _GRAVITY[event.severity] >= _GRAVITY[Severity.WARNING]:
                self._send(
                    tx, self._places(tx, None, [event]), cards.event_card(event), deliveries.NEWS
                )

    def _tell(self, tx: Tx, task: Task, events: Sequence[Event]) -> None:
        """One live message a place, the cards of its gates, and a sound for what needs one."""
        places = self._places(tx, task, events)
        card = cards.task_card(tx, task)
        live = [place for place in places if _begun(task) or _stands(tx, place, card)]
        self._send(tx, live, card, deliveries.PROGRESS, task, silent=True)
        for gate_id in dict.fromkeys(e.gate_id for e in events if e.gate_id is not None):
            gate = gates.get(tx, gate_id)
            opened = any(e.type == "gate.opened" and e.gate_id == gate_id for e in events)
            self._send(
                tx,
                places,
                cards.gate_card(tx, gate),
                deliveries.DECISIONS if opened else deliveries.NEWS,
                task,
                silent=not opened,
                gate_id=gate_id,
            )
        failed = next((event for event in events if event.type == "task.failed"), None)
        if failed is not None and _by_hand(failed):
            events = [event for event in events if event.type != "task.failed"]
        elif failed is not None:
            paused = [event.text for event in events if event.type == "queue.paused"]
            self._failed(tx, task, failed, paused, places)
            events = [event for event in events if event.type != "queue.paused"]
        for event in events:
            self._single(tx, task, event, places)

    def _failed(
        self, tx: Tx, task: Task, event: Event, paused: Sequence[str], places: Sequence[Place]
    ) -> None:
        """One message, also where the queue stops with it: with a sound where it is critical,
        and everywhere when no such place is known."""
        critical = self._critical(tx) if event.severity is Severity.CRITICAL else []
        card = cards.failure_card(task, event)
        card = replace(card, lines=(*card.lines, *paused))
        for place in dict.fromkeys([*places, *critical]):
            self._send(
                tx,
                [place],
                card,
                deliveries.DECISIONS,
                task,
                silent=bool(critical) and place not in critical,
            )

    def _single(self, tx: Tx, task: Task, event: Event, places: Sequence[Place]) -> None:
        if event.type == "task.completed":
            self._send(tx, places, cards.done_card(tx, task), deliveries.NEWS, task)
        elif not event.type.startswith(_TOLD) and (
            _GRAVITY[event.severity] >= _GRAVITY[Severity.WARNING]
        ):
            self._send(tx, places, cards.event_card(event), deliveries.NEWS, task)

    def _places(self, tx: Tx, task: Task | None, events: Sequence[Event]) -> list[Place]:
        """Where the task is followed, and every channel that a rule sends these events to."""
        found = [] if task is None else [(p, c) for p, c, _ in tasks.places(tx, task.id)]
        for rule in self._rules:
            if any(_fits(rule, event, task) for event in events):
                found += self._channels.get(rule.channel, ())
        return [place for place in dict.fromkeys(found) if place[0] in self._faces]

    def _critical(self, tx: Tx) -> list[Place]:
        places = [place for place in self._channels.get(CRITICAL, ()) if place[0] in self._faces]
        chats = [place for place in places if place[0] != "console"]
        if chats or not self._faces - {"console"}:
            return places
        return [*places, *self._admins(tx)]

    def _admins(self, tx: Tx) -> list[Place]:
        found = [
            (platform, user)
            for platform, users in self._people.items()
            for user, role in users.items()
            if role is Role.ADMIN
        ]
        found += [
            (row["platform"], row["user_id"])
            for row in tx.all(
                "SELECT platform, user_id FROM people WHERE role = ?", (int(Role.ADMIN),)
            )
        ]
        return [place for place in dict.fromkeys(found) if place[0] in self._faces]

    def _send(
        self,
        tx: Tx,
        places: Sequence[Place],
        reply: Reply,
        urgency: int,
        task: Task | None = None,
        silent: bool = False,
        gate_id: int | None = None,
    ) -> None:
        under = (
            {}
            if task is None
            else {
                (platform, chat): message for platform, chat, message in tasks.places(tx, task.id)
            }
        )
        for platform, chat in places:
            deliveries.owe(
                tx,
                platform=platform,
                chat=chat,
                reply=reply,
                urgency=urgency,
                silent=silent,
                task_id=task.id if task else None,
                gate_id=gate_id,
                reply_to=under.get((platform, chat)),
            )


def _begun(task: Task) -> bool:
    return task.state in ACTIVE


def _stands(tx: Tx, place: Place, card: Reply) -> bool:
    """Whether the live message is there, or on its way: only then its end is worth an edit.
    One that nobody has seen yet is not owed any more when another message tells the end."""
    if cards.TOLD.items() <= card.extra.items():
        deliveries.let_go(tx, *place, card.key or "")
    return any(
        tx.one(
            f"SELECT 1 FROM {table} WHERE platform = ? AND chat = ? AND key = ? {more}",  # noqa: S608
            (*place, card.key),
        )
        for table, more in (("messages", ""), ("deliveries", "AND state = 'owed'"))
    )


def _by_hand(event: Event) -> bool:
    """A task that somebody killed: who did it knows, and its live message says it to others."""
    return event.payload.get("act") == "kill"


def _fits(rule: Rule, event: Event, task: Task | None) -> bool:
    if _GRAVITY[event.severity] < _GRAVITY[rule.severity]:
        return False
    if rule.lane is not None and (task is None or task.lane != rule.lane):
        return False
    return any(fnmatchcase(event.type, pattern) for pattern in rule.types)

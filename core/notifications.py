"""Who hears of what: events become deliveries in the transaction that makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from core import cards
from core.audience import GRAVITY, Audience, Place, Rule
from core.commands.reply import Reply
from core.model import ACTIVE, Event, Run, Severity, Task
from core.store import deliveries, following, gates, run_rows, runs, tasks
from core.store.database import Tx

__all__ = ["Audience", "Notifier", "Place", "Rule"]

_TOLD = ("gate.", "task.failed", "task.completed", "pr.merged")
"""Events that a card tells of; other warnings have a message of their own."""


class Notifier:
    """Called with each transaction that made events, before it commits.

    `audience` is asked each time: it may be loaded anew. `faces`: the platforms there are.
    `slots`: how many tasks go at once, for a run's estimate.
    """

    def __init__(
        self,
        audience: Callable[[], Audience],
        faces: frozenset[str],
        slots: Callable[[Tx], int] = lambda tx: 1,
    ) -> None:
        self._audience = audience
        self._faces = faces
        self._slots = slots

    def __call__(self, tx: Tx) -> None:
        events = list(tx.events)
        found = dict.fromkeys(e.run_id for e in events if e.run_id is not None)
        for task_id in dict.fromkeys(e.task_id for e in events if e.task_id is not None):
            task = tasks.find(tx, task_id)
            if task is None:
                continue
            own = [event for event in events if event.task_id == task_id]
            self._tell(tx, task, own, events)
            if task.run_id is not None and any(map(_counts, own)):
                found[task.run_id] = None
        for run_id in found:
            own = [e for e in events if e.run_id == run_id and e.task_id is None]
            self._tell_run(tx, runs.get(tx, run_id), own)
        alone = [e for e in events if e.task_id is None and e.run_id is None]
        self._gates(tx, None, alone, self._places(tx, None, alone))
        for event in alone:
            if event.gate_id is None:
                self._single(tx, None, event, self._places(tx, None, [event]))

    def _tell(
        self, tx: Tx, task: Task, events: Sequence[Event], all_events: Sequence[Event]
    ) -> None:
        """One live message a place, the cards of its gates, and a sound for what needs one. In
        a run the run's message stands for those of its tasks."""
        places = self._places(tx, task, events)
        in_run = task.run_id is not None or _of_ended_run(tx, task, all_events)
        if task.begun or _begun(task):
            card = cards.task_card(tx, task)
            new = _begun(task) and not in_run
            live = [place for place in places if new or _stands(tx, place, card)]
            self._live(tx, live, card, task)
        self._gates(tx, task, events, places)
        failed = next((event for event in events if event.type == "task.failed"), None)
        if failed is not None and _by_hand(failed):
            events = [event for event in events if event.type != "task.failed"]
        elif failed is not None:
            paused = [
                event.text
                for event in all_events
                if event.type in ("queue.paused", "run.paused") and _about(event) == task.id
            ]
            self._failed(tx, task, failed, paused, places)
            events = [event for event in events if event.type != "queue.paused"]
        for event in events:
            if event.type == "task.completed" and not in_run:
                self._send(tx, places, cards.done_card(tx, task), deliveries.NEWS, task)
            self._single(tx, task, event, places)

    def _live(self, tx: Tx, places: Sequence[Place], card: Reply, task: Task) -> None:
        """Where somebody follows what the agent says, it shows more of it."""
        followed = following.places(tx, task.id)
        plain = [place for place in places if place not in followed]
        self._send(tx, plain, card, deliveries.PROGRESS, task, silent=True)
        if len(plain) < len(places):
            more = [place for place in places if place in followed]
            long = cards.task_card(tx, task, followed=True)
            self._send(tx, more, long, deliveries.PROGRESS, task, silent=True)

    def _tell_run(self, tx: Tx, run: Run, events: Sequence[Event]) -> None:
        """One live message a place; a message for each wave's end, for what needs a person,
        and for the run's end."""
        followed = [(p, c) for p, c, _ in run_rows.places(tx, run.id) if p in self._faces]
        hears = [p for p in self._audience().hears(events, run.lane) if p[0] in self._faces]
        places = list(dict.fromkeys([*followed, *hears]))
        card = cards.run_card(tx, run, self._slots(tx))
        standing = self._standing(tx, cards.run_key(run.id))
        live = [place for place in standing if _stands(tx, place, card)]
        if run.ended_at is None:  # who has begun it has the answer before the eyes
            began = any(event.type == "run.started" for event in events)
            live += [place for place in hears if place not in followed] if began else followed
        self._send(tx, list(dict.fromkeys(live)), card, deliveries.PROGRESS, silent=True)
        self._gates(tx, None, events, places)
        for event in events:
            if event.gate_id is None:
                self._of_run(tx, run, event, places)

    def _of_run(self, tx: Tx, run: Run, event: Event, places: Sequence[Place]) -> None:
        if event.type == "wave.completed":
            if run.ended_at is None:
                card = cards.wave_card(tx, run, event)
                self._send(tx, places, card, deliveries.NEWS, silent=True)
        elif event.type == "run.completed":
            self._send(tx, places, cards.run_done_card(tx, run), deliveries.NEWS)
        elif event.type == "run.paused":
            if event.severity is Severity.CRITICAL and not _told_as_failure(tx, event):
                self._alert(tx, cards.run_paused_card(tx, run, event), places)
        else:
            self._single(tx, None, event, places)

    def _gates(
        self, tx: Tx, task: Task | None, events: Sequence[Event], places: Sequence[Place]
    ) -> None:
        """The card of each gate, with a sound when it opens."""
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

    def _failed(
        self, tx: Tx, task: Task, event: Event, paused: Sequence[str], places: Sequence[Place]
    ) -> None:
        """One message, also where the queue stops with it: with a sound where it is critical,
        and everywhere when no such place is known."""
        card = cards.failure_card(task, event)
        card = replace(card, lines=(*card.lines, *paused))
        if event.severity is Severity.CRITICAL:
            self._alert(tx, card, places, task)
        else:
            self._send(tx, places, card, deliveries.DECISIONS, task)

    def _alert(
        self, tx: Tx, card: Reply, places: Sequence[Place], task: Task | None = None
    ) -> None:
        critical = self._critical(tx)
        for place in dict.fromkeys([*places, *critical]):
            silent = bool(critical) and place not in critical
            self._send(tx, [place], card, deliveries.DECISIONS, task, silent=silent)

    def _single(self, tx: Tx, task: Task | None, event: Event, places: Sequence[Place]) -> None:
        """A message of its own for what is grave. What has a key edits the message that stands
        under it, also where the news is good."""
        if event.type.startswith(_TOLD):
            return
        card = cards.event_card(event)
        standing = self._standing(tx, card.key) if card.key else []
        if GRAVITY[event.severity] < GRAVITY[Severity.WARNING]:
            places = []
        elif event.severity is Severity.CRITICAL:
            places = [*places, *self._critical(tx)]
        told = tuple(event.payload.get("told") or ())  # where an answer says it
        found = [place for place in dict.fromkeys([*places, *standing]) if place != told]
        self._send(tx, found, card, deliveries.NEWS, task)

    def _places(self, tx: Tx, task: Task | None, events: Sequence[Event]) -> list[Place]:
        """Where the task is followed, and every channel that a rule sends these events to."""
        found = [] if task is None else [(p, c) for p, c, _ in tasks.places(tx, task.id)]
        found += self._audience().hears(events, task.lane if task else None)
        return [place for place in dict.fromkeys(found) if place[0] in self._faces]

    def _standing(self, tx: Tx, key: str) -> list[Place]:
        return [place for place in deliveries.places_of(tx, key) if place[0] in self._faces]

    def _critical(self, tx: Tx) -> list[Place]:
        return self._audience().critical(tx, self._faces)

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


def _counts(event: Event) -> bool:
    """Whether a run's message may read otherwise after what happened to one of its tasks."""
    return event.type.startswith(("task.", "gate.")) and event.type != "task.progress"


def _about(event: Event) -> int | None:
    """The task whose failure paused a queue or a run."""
    return event.task_id or event.payload.get("task")


def _told_as_failure(tx: Tx, event: Event) -> bool:
    """Whether the failed task's own message, in this transaction, says so too."""
    failed = [one for one in tx.events if one.type == "task.failed" and not _by_hand(one)]
    return any(one.task_id == event.payload.get("task") for one in failed)


def _of_ended_run(tx: Tx, task: Task, events: Sequence[Event]) -> bool:
    """Whether its run has ended in this very transaction, with it."""
    return any(
        tx.one("SELECT 1 FROM run_tasks WHERE run_id = ? AND task_id = ?", (event.run_id, task.id))
        for event in events
        if event.type == "run.completed"
    )

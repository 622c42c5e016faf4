"""Pause and resume, of the queue, a task or a run; and the emergency brake."""

from __future__ import annotations

import re
from collections.abc import Sequence

from core import acts, dispatch, holding, queue, runs
from core.acts.ends import stop_session
from core.commands.desk import Act, Desk
from core.commands.grammar import Command, task_id
from core.commands.reply import Button, Reply
from core.errors import BullpenError, Unclear
from core.lifecycle import Act as Deed
from core.model import Event, Run, Session, SessionState, Severity, Task, run_ref, task_ref
from core.store import rows as as_noun
from core.store import sessions, tasks
from core.store.database import Tx
from core.store.unmet import listed

_RUN = re.compile(r"(?:run-?\s*)0*(\d{1,9})", re.IGNORECASE)
_AT_WORK = (
    "SELECT DISTINCT task_id FROM sessions INDEXED BY sessions_open WHERE state <> 'terminated' "
    "AND state IN ('starting', 'running', 'terminating') AND agent = ? ORDER BY task_id LIMIT 5"
)


async def killall(desk: Desk, command: Command) -> Reply | Act:
    """The brake: pause the queue and every run, end every session. Asks once."""
    if command.words[:1] != ("yes",):
        return Reply(
            "Stop everything? The queue and every run are paused, and every session is ended.",
            buttons=(Button("Stop everything", "killall yes", "danger"),),
        )

    def act(tx: Tx) -> Reply:
        queue.pause(tx, desk.actor.key, None, "The queue is paused by /killall", desk.place)
        _pause_runs(tx, desk)
        forced = acts.force(tx, sessions.stopping(tx))
        found = tx.all(
            "SELECT DISTINCT task_id FROM sessions JOIN tasks ON tasks.id = task_id "
            "WHERE sessions.state <> 'terminated' AND tasks.state NOT IN "
            "('done', 'failed', 'cancelled', 'ready')"
        )
        kept = [task for row in found if (task := _kill(tx, desk, row[0])) is not None]
        left = f"Not ended, but nothing of it runs: {', '.join(kept)}. " * bool(kept)
        ended = f"{len(forced)} that {_was(forced)} being stopped: ended by force. " * bool(forced)
        stopped = len(found) - len(kept)
        return Reply(f"Stopped {stopped}. {left}{ended}The queue is paused: /resume lets it go on.")

    return act


def _kill(tx: Tx, desk: Desk, number: int) -> str | None:
    """End it; one that can't be ended holds up no other: its processes are stopped all the same,
    and it is named."""
    try:
        with tx.attempt():
            acts.end(tx, desk.house, tasks.get(tx, number), Deed.KILL, desk.actor, "killed")
    except BullpenError:
        for session in sessions.open_of_task(tx, number):
            if session.state in (SessionState.STARTING, SessionState.RUNNING):
                stop_session(tx, session, "killed")
        return tasks.get(tx, number).ref
    return None


def _was(found: Sequence[object]) -> str:
    return "was" if len(found) == 1 else "were"


def _pause_runs(tx: Tx, desk: Desk) -> None:
    for row in tx.all(
        "SELECT * FROM runs INDEXED BY runs_open WHERE state IN ('planned', 'running', 'paused') "
        "AND state = 'running'"
    ):
        runs.pause(tx, desk.house, as_noun.run(row), desk.actor)


async def pause(desk: Desk, command: Command) -> Reply | Act:
    """Alone: nothing new is claimed. With a task or a run: that one rests."""

    def act(tx: Tx) -> Reply:
        wanted = _meant(tx, command)
        if isinstance(wanted, Run):
            runs.pause(tx, desk.house, wanted, desk.actor)
            return Reply(f"{wanted.ref} is paused. /resume {wanted.ref} lets it go on.")
        if isinstance(wanted, Task):
            return _pause_task(tx, desk, wanted)
        standing = queue.load(tx, desk.house.policy)
        if standing.paused and standing.because is None:
            return Reply("The queue is paused already. /resume lets it go on.")
        words = f"The queue was paused by {desk.actor.name}"
        queue.pause(tx, desk.actor.key, None, words, desk.place)
        return Reply("The queue is paused; what runs goes on. /resume lets it go on.")

    return act


async def resume(desk: Desk, command: Command) -> Reply | Act:
    """Alone: claiming goes on. With a task or a run: that one goes on."""

    def act(tx: Tx) -> Reply:
        wanted = _meant(tx, command)
        if isinstance(wanted, Run):
            runs.resume(tx, desk.house, wanted, desk.actor)
            return Reply(f"{wanted.ref} goes on.")
        if isinstance(wanted, Task):
            return _resume_task(tx, desk, wanted)
        if not queue.load(tx, desk.house.policy).paused:
            return Reply("The queue is not paused. /queue shows what waits.")
        queue.resume(tx, desk.actor.key)
        return Reply("The queue goes on.")

    return act


def _meant(tx: Tx, command: Command) -> Task | Run | None:
    """What the words name: a task (`42`), a run (`RUN-7`, `run 7`), or the queue (nothing)."""
    if not command.words:
        return None
    words = " ".join(command.words)
    if found := _RUN.fullmatch(words):
        row = tx.one("SELECT * FROM runs WHERE id = ?", (int(found[1]),))
        if row is None:
            raise Unclear(f"No {run_ref(int(found[1]))}. /runs lists them.")
        return as_noun.run(row)
    if len(command.words) > 1:
        raise Unclear(f"One at a time: /{command.name} 42, /{command.name} RUN-7, or alone.")
    return tasks.get(tx, task_id(words))


def _pause_task(tx: Tx, desk: Desk, wanted: Task) -> Reply:
    task = acts.pause(tx, desk.house, wanted)
    by = desk.actor.name or desk.actor.user_id
    said = f"{by} has paused {task.ref}"
    tx.emit(Event("task.edited", said, Severity.DEBUG, task_id=task.id, payload={"paused": by}))
    stopped = [session for session in sessions.open_of_task(tx, task.id) if session.held_for]
    words = tuple(_how_it_goes_on(desk, session) for session in stopped)
    return Reply(
        f"{task.ref} is paused. /resume {task.id} lets it go on.",
        words,
        buttons=(Button("Resume", f"resume {task.id}", "primary"),),
    )


def _how_it_goes_on(desk: Desk, session: Session) -> str:
    """What resuming means for its driver: a conversation goes on, a command begins again."""
    if desk.house.drivers[session.driver].can_resume:
        return f"{session.agent} is stopped, and goes on where it was."
    return f"{session.agent} is stopped, and begins again in the same folder: it keeps no thread."


def _resume_task(tx: Tx, desk: Desk, wanted: Task) -> Reply:
    rested = "limit" in holding.reasons(tx, wanted)
    task, left = acts.resume(tx, desk.house, wanted)
    if left:
        return Reply(f"{task.ref} is paused no more, but waits. {left}")
    again = " Its account is tried again now." if rested else ""
    return Reply(
        f"{task.ref} goes on.{again}", (*_done_first(tx, desk, task), *_also_waiting(tx, task))
    )


def _done_first(tx: Tx, desk: Desk, task: Task) -> list[str]:
    """What its agent is at while it has no place for this one."""
    lines, load = [], dispatch.load(tx)
    for session in sessions.open_of_task(tx, task.id):
        agent = desk.house.agents.get(session.agent)
        if agent is None or session.state is not SessionState.SUSPENDED:
            continue
        if load[agent.name] >= agent.max_concurrent_tasks:
            refs = [task_ref(row[0]) for row in tx.all(_AT_WORK, (agent.name,))]
            lines.append(f"{agent.name} is busy with {listed(refs)}: it goes on after that.")
    return lines


def _also_waiting(tx: Tx, task: Task) -> tuple[str, ...]:
    """What is ready for the agent that goes on: it waits until this one is done."""
    lines = []
    for agent in {session.agent for session in sessions.open_of_task(tx, task.id)}:
        rows = tx.all(
            "SELECT id FROM tasks INDEXED BY tasks_ready WHERE state = 'ready' AND assignee = ? "
            "ORDER BY priority DESC, id LIMIT 5",
            (agent,),
        )
        refs = [task_ref(row[0]) for row in rows]
        lines += [f"Ready for {agent}, too: {listed(refs)}."] if refs else []
    return tuple(lines)

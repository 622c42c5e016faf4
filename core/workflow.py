"""What follows what: an outcome routes a task from its step to the next one."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import Broken
from core.house import House
from core.model import (
    Event,
    GateKind,
    IterationState,
    Session,
    SessionOutcome,
    SessionState,
    Severity,
    Step,
    StepKind,
    Task,
    TaskState,
)
from core.store import gates, sessions, tasks
from core.store.database import Tx


@dataclass(frozen=True, slots=True)
class Onward:
    """What goes along to the next step: a `prompt` for an agent that goes on, its `cause`,
    and the closing words and the diff (its beginning) that a gate shows."""

    prompt: str = ""
    cause: str = "rejected"
    summary: str = ""
    diff: str = ""


def follow(tx: Tx, house: House, task: Task, outcome: str, onward: Onward | None = None) -> Task:
    """Take the route that the current step declares for this outcome."""
    step = house.step(task)
    # "Finish this step" goes no further than the step.
    tx.run("UPDATE sessions SET unstoppable = 0 WHERE task_id = ? AND unstoppable = 1", (task.id,))
    target = step.outcomes.get(outcome) or step.outcomes.get("default")
    if target is None:
        raise Broken(f"{task.ref}: step `{step.id}` has no route for `{outcome}`.")
    return enter(tx, house, task, target, onward or Onward())


def enter(tx: Tx, house: House, task: Task, target: str, onward: Onward) -> Task:
    if target == "done":
        return finish(tx, task)
    if target == "failed":
        return tasks.fail(tx, task, onward.summary or "the workflow ended in failure")
    step = house.step(task, target)
    if step.kind is StepKind.AGENT:
        return _to_agent(tx, task, step, onward)
    task = tasks.move(tx, task, step.state, step=step.id, hold=None)
    if step.kind is StepKind.GATE:
        _open(tx, house, task, step, onward)
    return task


def _to_agent(tx: Tx, task: Task, step: Step, onward: Onward) -> Task:
    """Go on in the suspended session where the step says so, else wait to be claimed."""
    session = sessions.of_step(tx, task.id, step.session or step.id)
    if session is not None and session.state is SessionState.SUSPENDED and not step.fresh:
        sessions.new_iteration(tx, session.id, onward.cause, onward.prompt, IterationState.WAITING)
        return tasks.move(tx, task, step.state, step=step.id, hold=None)
    if session is not None and session.state is SessionState.SUSPENDED:
        sessions.end(tx, session, SessionOutcome.COMPLETED, None)
    task = tasks.move(
        tx,
        task,
        TaskState.READY,
        step=step.id,
        hold=None,
        assignee=task.assignee if task.step == step.id else None,
    )
    tx.emit(Event("task.ready", f"{task.ref} is ready for {step.name or step.id}", task_id=task.id))
    return task


def _open(tx: Tx, house: House, task: Task, step: Step, onward: Onward) -> None:
    session = _latest(tx, task)
    gates.open_gate(
        tx,
        gates.NewGate(
            kind=GateKind.MERGE if merges(house, task, step) else GateKind.REVIEW,
            task_id=task.id,
            title=f"{task.ref} is ready for you",
            body=onward.summary,
            step=step.id,
            session_id=session.id if session else None,
            agent=session.agent if session else None,
            request={"diff": onward.diff} if onward.diff else {},
            change=task.change,
        ),
    )


def merges(house: House, task: Task, step: Step) -> bool:
    """Whether approving this gate is approving the merge."""
    target = step.outcomes.get("approved", "")
    if target in ("", "done", "failed"):
        return False
    following = house.step(task, target)
    return following.kind is StepKind.FORGE and following.action == "merge"


def _latest(tx: Tx, task: Task) -> Session | None:
    found = sessions.open_of_task(tx, task.id)
    return max(found, key=lambda session: session.created_at) if found else None


def finish(tx: Tx, task: Task) -> Task:
    """Done: what is suspended ends with it."""
    task = tasks.move(tx, task, TaskState.DONE)
    for session in sessions.open_of_task(tx, task.id):
        if session.state is SessionState.SUSPENDED:
            sessions.end(tx, session, SessionOutcome.COMPLETED, None)
    merged = f" · merged as {task.merge_commit[:7]}" if task.merge_commit else ""
    tx.emit(Event("task.completed", f"{task.ref} is done{merged}", Severity.INFO, task_id=task.id))
    return task

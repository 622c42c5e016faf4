"""The messages that tell of a task, in one voice for every face.

First line: what and which task. Then the one fact that matters. Buttons: what one would do
next, the likeliest first, at most four.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from core.commands.reply import Button, Reply
from core.model import (
    Change,
    Event,
    Gate,
    GateKind,
    GateState,
    Priority,
    Session,
    Task,
    TaskState,
    task_ref,
)
from core.store import gates, rows, tasks
from core.store.database import Tx

MARKS = {TaskState.INBOX: "📥", TaskState.READY: "🕒", TaskState.BLOCKED: "⛔",
         TaskState.PLANNING: "🔧", TaskState.IN_FLIGHT: "🔧", TaskState.REVIEW: "🧾",
         TaskState.DONE: "✅", TaskState.FAILED: "❌", TaskState.CANCELLED: "🚫"}


TOLD = {"told": "elsewhere"}
"""Marks an edit whose news another message brings: a face that can't edit leaves it out."""
_TOLD_STATES = (TaskState.REVIEW, TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED)


# -- a task's live message -----------------------------------------------------------------


def task_card(tx: Tx, task: Task) -> Reply:
    """The message that is edited in place for as long as the task lives."""
    session = _newest(tx, task.id)
    return Reply(
        title=f"{MARKS[task.state]} {task.ref} · {_headline(task, session)}",
        lines=tuple(line for line in (task.title, *_facts(tx, task, session)) if line),
        buttons=_task_buttons(task), key=f"task:{task.id}", silent=True,
        extra=TOLD if task.state in _TOLD_STATES else {})


def _headline(task: Task, session: Session | None) -> str:
    agent = session.agent if session else None
    if task.state is TaskState.REVIEW and task.hold:
        return "approved, the merge waits"
    if task.state in (TaskState.PLANNING, TaskState.IN_FLIGHT):
        return f"{agent} is on it" if agent else "in work"
    return {
        TaskState.INBOX: "in the inbox", TaskState.READY: "ready", TaskState.BLOCKED: "blocked",
        TaskState.REVIEW: "ready for you", TaskState.FAILED: "failed",
        TaskState.CANCELLED: "cancelled",
        TaskState.DONE: "done · merged" if task.merge_commit else "done",
    }.get(task.state, task.state.value)


def _facts(tx: Tx, task: Task, session: Session | None) -> list[str]:
    if task.state is TaskState.READY:
        return [_ready_words(task)]
    if task.state is TaskState.BLOCKED:
        return [_blocked_words(tx, task)]
    if task.state is TaskState.FAILED:
        return [task.failure or ""]
    facts = [task.hold or ""]
    if session is not None:
        facts.append(_spent(tx, task, session))
        if task.state is not TaskState.DONE:
            facts.append(_last_said(tx, session))
    if task.change is not None and task.state in (TaskState.REVIEW, TaskState.DONE):
        facts.append(changed(task.change))
    return facts


def _ready_words(task: Task) -> str:
    words = ["Waits for an agent" if task.assignee is None else f"Waits for {task.assignee}"]
    if task.priority is not Priority.MEDIUM:
        words.append(task.priority.name.lower())
    if task.failure and task.attempts:
        words.append(f"try {task.attempts + 1} after: {task.failure}")
    return " · ".join(words)


def _blocked_words(tx: Tx, task: Task) -> str:
    needs = [row[0] for row in tx.all(
        "SELECT needs_id FROM dependencies JOIN tasks ON tasks.id = needs_id "
        "WHERE task_id = ? AND tasks.state <> 'done'", (task.id,))]
    if needs:
        return "Waits for " + ", ".join(f"TASK-{needed:03d}" for needed in needs[:5])
    reasons = [row[0] for row in tx.all(
        "SELECT reason FROM task_reasons WHERE task_id = ?", (task.id,))]
    return "Because of: " + ", ".join(reasons)


def _spent(tx: Tx, task: Task, session: Session) -> str:
    lasted = (task.ended_at or tx.now) - (task.started_at or task.created_at)
    words = [duration(lasted)] if lasted >= 1000 else []
    iterations = tx.value("SELECT count(*) FROM iterations JOIN sessions ON id = session_id "
                          "WHERE task_id = ?", (task.id,))
    if iterations > 1:
        words.append(f"{iterations} iterations")
    if session.tool_calls:
        words.append(counted(session.tool_calls, "tool call"))
    if session.cost_usd:
        words.append(f"{session.cost_usd:.2f} USD")
    return " · ".join(words)


def _last_said(tx: Tx, session: Session) -> str:
    return str(tx.value("SELECT text FROM events WHERE task_id = ? AND session_id = ? "
                        "AND type = 'task.progress' ORDER BY seq DESC LIMIT 1",
                        (session.task_id, session.id)) or "")


def _task_buttons(task: Task) -> tuple[Button, ...]:
    logs, cancel = Button("Logs", f"logs {task.id}"), Button("Cancel", f"cancel {task.id}")
    if task.state in (TaskState.PLANNING, TaskState.IN_FLIGHT):
        return (logs, Button("Stop", f"kill {task.id}", "danger"))
    if task.state is TaskState.FAILED:
        return failure_buttons(task)
    if task.state in (TaskState.READY, TaskState.BLOCKED, TaskState.INBOX):
        return (Button("Start now", f"start {task.id}", "primary"),
                Button("Assign…", f"assign {task.id}", ask="To which agent?"), cancel)
    return (Button("Show", f"show {task.id}"), logs)


def _newest(tx: Tx, task_id: int) -> Session | None:
    row = tx.one("SELECT * FROM sessions WHERE task_id = ? ORDER BY created_at DESC LIMIT 1",
                 (task_id,))
    return None if row is None else rows.session(row)


# -- gates ---------------------------------------------------------------------------------


def gate_card(tx: Tx, gate: Gate) -> Reply:
    """The card of something that waits for a person; once answered it says by whom."""
    task = tasks.find(tx, gate.task_id) if gate.task_id else None
    mark = {GateKind.QUESTION: "❓", GateKind.PERMISSION: "🔐"}.get(gate.kind, "🧾")
    if gate.state is not GateState.OPEN:
        return _closed_card(gate, mark)
    decides = gate.kind in (GateKind.REVIEW, GateKind.MERGE)
    return Reply(
        title=f"{mark} {gate.ref} · {gate.title}",
        lines=tuple(line for line in _gate_lines(tx, gate, task, decides) if line),
        code=gate.body if gate.kind is GateKind.PERMISSION else None,
        buttons=_gate_buttons(gate), key=f"gate:{gate.id}")


def _closed_card(gate: Gate, mark: str) -> Reply:
    """What was decided, by whom; a terminal that decided it itself isn't told again."""
    here = gate.answered_place == "console:console" or gate.state is GateState.CANCELLED
    said = gate.answer if gate.state is not GateState.CANCELLED else None
    about = task_ref(gate.task_id) if gate.task_id else gate.title
    return Reply(title=f"{mark} {gate.ref} · {about} · {gates.closed_words(gate)}",
                 lines=(f"“{said}”",) if said else (),
                 key=f"gate:{gate.id}", silent=True, extra=TOLD if here else {})


def _gate_lines(tx: Tx, gate: Gate, task: Task | None, decides: bool) -> list[str]:
    if not decides:
        return [task.title if task else "", gate.body if gate.kind is GateKind.QUESTION else ""]
    lines = [task.title if task else ""]
    if task is not None and task.change is not None:
        lines += [changed(task.change), *_marked(task.change)]
    lines.append(_checks(tx, task))
    if task is not None and (boxes := _boxes(tx, task.id)):
        lines.append(boxes)
    lines.append(f"“{gate.body.strip()}”" if gate.body.strip() else "")
    return lines


def _gate_buttons(gate: Gate) -> tuple[Button, ...]:
    def button(label: str, command: str, style: str = "default", ask: str | None = None) -> Button:
        return Button(label, command, style, gate.id, gate.patch_id, ask)

    if gate.kind is GateKind.QUESTION:
        return (*(button(option, f"answer {gate.ref} {option}") for option in gate.options[:3]),
                button("Answer…", f"answer {gate.ref}", ask="Your answer?"))
    if gate.kind is GateKind.PERMISSION:
        return (button("Allow once", f"approve {gate.ref}", "primary"),
                button("Deny", f"reject {gate.ref}", "danger"))
    merges = gate.kind is GateKind.MERGE and gate.base != gate.head
    approve = "Approve & merge" if merges else "Approve"
    return (button(approve, f"approve {gate.ref}", "primary"),
            button("Reject…", f"reject {gate.ref}", "danger", "What is to be changed?"),
            Button("Show", f"show {gate.task_id}"))


def changed(change: Change) -> str:
    """`importer.py +26 −9 · test_speed.py +31 −0`, at most five files."""
    if change.empty:
        return "No file was changed."
    words = [f"{file.path} +{file.added} −{file.removed}" for file in change.files[:5]]
    more = len(change.files) - 5
    return "📝 " + " · ".join(words) + (f" · and {counted(more, 'more file')}" if more > 0 else "")


def _marked(change: Change) -> list[str]:
    if not change.marked:
        return []
    return ["⚠️ Look twice, this steers agents, hooks or CI: " + ", ".join(change.marked[:5])]


def _checks(tx: Tx, task: Task | None) -> str:
    row = tx.one("SELECT findings FROM qa_results JOIN sessions ON sessions.id = session_id "
                 "WHERE task_id = ? ORDER BY qa_results.id DESC LIMIT 1",
                 (task.id if task else 0,))
    found = json.loads(row["findings"]) if row else []
    return "Checks: " + " · ".join(
        f"{'✓' if one['passed'] else '✗'} {one['command']}" for one in found) if found else ""


def _boxes(tx: Tx, task_id: int) -> str:
    found = tx.all("SELECT text, state FROM criteria WHERE task_id = ? AND command IS NULL "
                   "ORDER BY position", (task_id,))
    return "\n".join(f"{'☑' if row['state'] == 'ticked' else '☐'} {row['text']}" for row in found)


# -- ends ----------------------------------------------------------------------------------


def failure_card(task: Task, event: Event) -> Reply:
    """What went wrong, with the last lines of the log."""
    tail = [str(line) for line in event.payload.get("tail") or []]
    return Reply(title=f"❌ {task.ref} failed: {task.failure or 'no reason given'}",
                 lines=(task.title,), code="\n".join(tail) or None,
                 buttons=failure_buttons(task))


def failure_buttons(task: Task) -> tuple[Button, ...]:
    return (Button("Retry", f"retry {task.id}", "primary"),
            Button("Hint…", f"retry {task.id}", ask="A hint for the next try?"),
            Button("Logs", f"logs {task.id}"),
            Button("Give up", f"cancel {task.id}", "danger"))


def done_card(tx: Tx, task: Task) -> Reply:
    session = _newest(tx, task.id)
    spent = _spent(tx, task, session) if session else ""
    words = "done · merged" if task.merge_commit else "done"
    return Reply(title=f"✅ {task.ref} {words}" + (f" · {spent}" if spent else ""),
                 lines=(task.title,))


def event_card(event: Event) -> Reply:
    """An event in its own sentence."""
    return Reply(title=f"⚠️ {event.text}")


# -- numbers as a person says them -----------------------------------------------------------


def duration(ms: int) -> str:
    """`40 s`, `9 min`, `2 h 5 min`, `3 d`."""
    seconds = max(0, round(ms / 1000))
    if seconds < 90:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours < 48 else f"{round(hours / 24)} d"


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def joined(words: Sequence[str]) -> str:
    return " · ".join(word for word in words if word)

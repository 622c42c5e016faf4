"""A task's live message, and the messages of its ends."""

from __future__ import annotations

from core.alone import one_step
from core.cards.words import TOLD, apart, changed, counted, duration, headline, untold
from core.commands.reply import Attachment, Button, Reply
from core.model import ACTIVE, Event, Priority, Session, Severity, Task, TaskState
from core.store import rows, unmet
from core.store.database import Tx

MARKS = {
    TaskState.INBOX: "📥",
    TaskState.READY: "🕒",
    TaskState.BLOCKED: "⛔",
    TaskState.PLANNING: "🔧",
    TaskState.IN_FLIGHT: "🔧",
    TaskState.REVIEW: "🧾",
    TaskState.DONE: "✅",
    TaskState.FAILED: "❌",
    TaskState.CANCELLED: "🚫",
}


LONG = 1500
"""Characters of an answer that stand on a card; a longer one is attached."""
_REASON_LINES = 12
"""Lines of a failure's reason on its card: the end of it."""
_GLANCE = 2
"""Lines of what an agent said last that stand in its task's message."""
_TOLD_STATES = (TaskState.REVIEW, TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED)


def task_card(tx: Tx, task: Task, followed: bool = False) -> Reply:
    """The message that is edited in place for as long as the task lives. `followed`: with more of
    what its agent says."""
    session = _newest(tx, task.id)
    works = session is not None and session.ended_at is None and task.state in ACTIVE
    said = _tail(tx, session) if session is not None and followed and works else []
    buttons = _task_buttons(tx, task)
    if said:
        buttons = (*buttons[:3], Button("Unfollow", f"logs {task.id} --stop"))
    return Reply(
        title=f"{MARKS[task.state]} {task.ref} · {_headline(tx, task, session)}",
        lines=tuple(line for line in (task.title, *_facts(tx, task, session, not said)) if line),
        code="\n".join(said) or None,
        buttons=buttons,
        key=f"task:{task.id}",
        silent=True,
        extra=TOLD if task.state in _TOLD_STATES and task.failure != "killed" else {},
    )


def _headline(tx: Tx, task: Task, session: Session | None) -> str:
    agent = session.agent if session else None
    if agent and tx.one(
        "SELECT 1 FROM gates WHERE task_id = ? AND state = 'open' AND kind IN "
        "('question', 'permission')",
        (task.id,),
    ):
        return f"{agent} waits for you"
    if task.state is TaskState.REVIEW and task.hold:
        return "approved, the merge waits"
    if task.state in (TaskState.PLANNING, TaskState.IN_FLIGHT):
        return f"{agent} is on it" if agent else "in work"
    return {
        TaskState.INBOX: "in the inbox",
        TaskState.READY: "ready",
        TaskState.BLOCKED: "blocked",
        TaskState.REVIEW: "ready for you",
        TaskState.FAILED: "failed",
        TaskState.CANCELLED: "cancelled",
        TaskState.DONE: "done · merged" if task.merge_commit else "done",
    }.get(task.state, task.state.value)


def _facts(tx: Tx, task: Task, session: Session | None, glance: bool = True) -> list[str]:
    if task.state is TaskState.READY:
        return [_ready_words(task)]
    if task.state is TaskState.BLOCKED:
        return [_blocked_words(tx, task)]
    if task.state is TaskState.FAILED:
        return [headline(task.failure) if task.failure else "", unmet.waiting_words(tx, task.id)]
    facts = [task.hold or ""]
    if task.state is TaskState.CANCELLED:
        facts.append(unmet.waiting_words(tx, task.id))
    if session is not None:
        facts.append(_spent(tx, task, session))
        if glance and task.state is not TaskState.DONE:
            facts.append(_last_said(tx, session))
    if task.change is not None and task.state in (TaskState.REVIEW, TaskState.DONE):
        facts += [changed(task.change), *apart(task.change)]
    return facts


def _ready_words(task: Task) -> str:
    words = ["Waits for an agent" if task.assignee is None else f"Waits for {task.assignee}"]
    if task.priority is not Priority.MEDIUM:
        words.append(task.priority.name.lower())
    if task.failure and task.attempts:
        words.append(f"try {task.attempts + 1} after: {headline(task.failure)}")
    return " · ".join(words)


def _blocked_words(tx: Tx, task: Task) -> str:
    needs = [
        row[0]
        for row in tx.all(
            "SELECT needs_id FROM dependencies JOIN tasks ON tasks.id = needs_id "
            "WHERE task_id = ? AND tasks.state <> 'done'",
            (task.id,),
        )
    ]
    if needs:
        return "Waits for " + ", ".join(f"TASK-{needed:03d}" for needed in needs[:5])
    reasons = [
        row[0] for row in tx.all("SELECT reason FROM task_reasons WHERE task_id = ?", (task.id,))
    ]
    return " · ".join(_reason_words(tx, task, reason) for reason in reasons)


def _reason_words(tx: Tx, task: Task, reason: str) -> str:
    if reason == "limit":
        until = tx.value(
            "SELECT words FROM limits "
            "JOIN sessions ON limits.account = coalesce(sessions.account, agent) "
            "WHERE task_id = ? AND lifted_at IS NULL ORDER BY created_at DESC",
            (task.id,),
        )
        return f"Rests until {until}: usage limit" if until else "Rests: usage limit"
    return {
        "paused": f"Paused: /resume {task.id} lets it go on",
        "budget": "Its budget is used up: /inbox",
        "question": "Waits for an answer: /inbox",
    }.get(reason, f"Because of: {reason}")


def _spent(tx: Tx, task: Task, session: Session) -> str:
    lasted = (task.ended_at or tx.now) - (task.started_at or task.created_at)
    words = [duration(lasted)] if lasted >= 1000 else []
    iterations = tx.value(
        "SELECT count(*) FROM iterations JOIN sessions ON id = session_id WHERE task_id = ?",
        (task.id,),
    )
    if iterations > 1:
        words.append(f"{iterations} iterations")
    if session.tool_calls:
        words.append(counted(session.tool_calls, "tool call"))
    if session.cost_usd:
        words.append(f"{session.cost_usd:.2f} USD")
    return " · ".join(words)


def _last_said(tx: Tx, session: Session) -> str:
    """What it told itself last, or the end of what it said."""
    told = tx.value(
        "SELECT text FROM events WHERE task_id = ? AND session_id = ? "
        "AND type = 'task.progress' ORDER BY seq DESC LIMIT 1",
        (session.task_id, session.id),
    )
    tail = _tail(tx, session)
    if told in tail or not tail:
        return "\n".join(line[:120] for line in tail[-_GLANCE:]) or str(told or "")
    return str(told)


def _tail(tx: Tx, session: Session) -> list[str]:
    said = tx.value("SELECT tail FROM sessions WHERE id = ?", (session.id,))
    return str(said or "").splitlines()


def _task_buttons(tx: Tx, task: Task) -> tuple[Button, ...]:
    logs, cancel = Button("Logs", f"logs {task.id}"), Button("Cancel", f"cancel {task.id}")
    if task.state in (TaskState.PLANNING, TaskState.IN_FLIGHT):
        return (logs, Button("Stop", f"kill {task.id}", "danger"))
    if task.state is TaskState.FAILED:
        return failure_buttons(task)
    if task.state is TaskState.BLOCKED and tx.value(
        "SELECT 1 FROM task_reasons WHERE task_id = ? AND reason IN ('paused', 'limit')", (task.id,)
    ):
        return (Button("Resume", f"resume {task.id}", "primary"), logs, cancel)
    if task.state in (TaskState.READY, TaskState.BLOCKED, TaskState.INBOX):
        return (
            Button("Ready", f"ready {task.id}", "primary")
            if task.state is TaskState.INBOX
            else Button("Start now", f"start {task.id}", "primary"),
            Button("Assign…", f"assign {task.id}", ask="To which agent?"),
            cancel,
        )
    return (Button("Show", f"show {task.id}"), logs)


def _newest(tx: Tx, task_id: int) -> Session | None:
    row = tx.one(
        "SELECT * FROM sessions WHERE task_id = ? ORDER BY created_at DESC LIMIT 1", (task_id,)
    )
    return None if row is None else rows.session(row)


def failure_card(task: Task, event: Event) -> Reply:
    """What went wrong, with the last lines of the log."""
    reason = task.failure or "no reason given"
    title = headline(reason)
    tail = [str(line) for line in event.payload.get("tail") or []]
    if " ".join(reason.split()) != title:  # what the title leaves out is said once, below
        flat = " ".join(reason.split())
        tail = [line for line in tail if " ".join(line.split()) != flat]
        kept = [line for line in reason.splitlines() if line.strip()]
        tail = [*untold(tail, flat), *kept[-_REASON_LINES:]]
    else:
        tail = untold(tail, title)
    waiting = str(event.payload.get("waiting") or "")
    return Reply(
        title=f"❌ {task.ref} failed: {title}",
        lines=(task.title, waiting) if waiting else (task.title,),
        code="\n".join(tail) or None,
        buttons=failure_buttons(task),
    )


def failure_buttons(task: Task) -> tuple[Button, ...]:
    failed = TaskState.FAILED.value  # a later press must not end what goes on meanwhile
    return (
        Button("Retry", f"retry {task.id}", "primary", hash=failed),
        Button("Hint…", f"retry {task.id}", ask="A hint for the next try?"),
        Button("Logs", f"logs {task.id}"),
        Button("Give up", f"cancel {task.id}", "danger", hash=failed),
    )


def done_card(tx: Tx, task: Task) -> Reply:
    session = _newest(tx, task.id)
    spent = _spent(tx, task, session) if session else ""
    words = "done · merged" if task.merge_commit else "done"
    said, kept = _outcome(tx, task, session) if session else ("", ())
    whole = len(said) <= LONG
    return Reply(
        title=f"✅ {task.ref} {words}" + (f" · {spent}" if spent else ""),
        lines=(
            task.title,
            *((f"“{said}”" if whole else "Its answer is attached.",) if said else ()),
            *kept,
        ),
        # Whole: what is secret in it is found before anything is cut.
        attachments=() if whole else (Attachment(f"{task.ref}.md", said),),
        buttons=(Button("Show", f"show {task.id}"), Button("Logs", f"logs {task.id}"))
        if said or kept
        else (),
    )


def _outcome(tx: Tx, task: Task, session: Session) -> tuple[str, tuple[str, ...]]:
    """What came of something spawned, which no gate has shown: its last words, and what it has
    changed."""
    if one_step(task.workflow) is None:
        return "", ()
    said = tx.value(
        "SELECT summary FROM iterations WHERE session_id = ? ORDER BY number DESC LIMIT 1",
        (session.id,),
    )
    said = str(said or "").strip()
    if task.change is None or task.change.empty:
        return said, tuple(apart(task.change)) if task.change is not None else ()
    where = f"It is on the branch {task.branch}, merged nowhere: /show {task.id}"
    return said, (changed(task.change), *apart(task.change), where)


def event_card(event: Event) -> Reply:
    """An event in its own sentence. One with a key takes the place of an earlier one's."""
    grave = event.severity in (Severity.WARNING, Severity.ERROR, Severity.CRITICAL)
    key = event.payload.get("key")
    return Reply(f"⚠️ {event.text}" if grave else event.text, key=str(key) if key else None)

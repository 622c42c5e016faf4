"""The card of something that waits for a person."""

from __future__ import annotations

from core.cards.budget import budget_buttons, budget_lines
from core.cards.receipt import receipt_lines
from core.cards.words import TOLD, apart, changed, glance, path
from core.commands.reply import Attachment, Button, Reply
from core.model import Change, Gate, GateKind, GateState, Task, task_ref
from core.store import gates, tasks
from core.store.database import Tx

GLANCE = 20
"""Lines of a diff that stand on a card."""
LONG = 1500
"""Characters of a request that stand on its card; of a longer one the whole is attached."""


_MARKS = {GateKind.QUESTION: "❓", GateKind.PERMISSION: "🔐", GateKind.BUDGET: "💰"}


def gate_card(tx: Tx, gate: Gate) -> Reply:
    """The card of something that waits for a person; once answered it says by whom."""
    task = tasks.find(tx, gate.task_id) if gate.task_id else None
    mark = _MARKS.get(gate.kind, "🧾")
    if gate.state is not GateState.OPEN:
        return _closed_card(gate, mark)
    asks_leave = gate.kind is GateKind.PERMISSION
    cut = asks_leave and len(gate.body) > LONG
    return Reply(
        title=f"{mark} {gate.ref} · {gate.title}",
        lines=tuple(line for line in _gate_lines(tx, gate, task) if line),
        code=gate.body[:LONG] if asks_leave else _diff(gate),
        attachments=(Attachment(_whole(gate), gate.body),) if cut else (),
        buttons=_gate_buttons(gate),
        key=f"gate:{gate.id}",
    )


def _diff(gate: Gate) -> str | None:
    """The change itself, as far as a glance reaches; Show has the whole."""
    lines = glance(str(gate.request.get("diff") or ""))
    if not lines:
        return None
    shown = [line[:200] for line in lines[:GLANCE]]
    left = len(lines) - len(shown)
    return "\n".join([*shown, *([f"… and more: /show {gate.task_id}"] if left else [])])


def _closed_card(gate: Gate, mark: str) -> Reply:
    """What was decided, by whom; a terminal that decided it itself isn't told again."""
    here = gate.answered_place == "console:console" or gate.state is GateState.CANCELLED
    said = gate.answer if gate.state is not GateState.CANCELLED else None
    about = task_ref(gate.task_id) if gate.task_id else gate.title
    return Reply(
        title=f"{mark} {gate.ref} · {about} · {gates.closed_words(gate)}",
        lines=(f"“{said}”",) if said else (),
        key=f"gate:{gate.id}",
        silent=True,
        extra=TOLD if here else {},
    )


def _whole(gate: Gate) -> str:
    """The name of the file that a long request is attached as."""
    return f"{gate.ref}.txt"


def _gate_lines(tx: Tx, gate: Gate, task: Task | None) -> list[str]:
    title = task.title if task is not None else ""
    if gate.kind is GateKind.PERMISSION:
        cut = len(gate.body) - LONG
        more = f"⚠️ {cut} characters more: read {_whole(gate)} before you allow it."
        return [title, more if cut > 0 else ""]
    if gate.kind is GateKind.BUDGET:
        return [title, *budget_lines(tx, gate)]
    if gate.kind is GateKind.QUESTION:
        return [title, gate.body]
    said = f"“{gate.body.strip()}”" if gate.body.strip() else ""
    return [title, *(_work_lines(tx, gate, task) if task is not None else ()), said]


def _work_lines(tx: Tx, gate: Gate, task: Task) -> list[str]:
    """What was changed, and what Bullpen saw of it."""
    one = task.change
    change = [changed(one), *_marked(one), *apart(one)] if one is not None else []
    return [*change, *receipt_lines(tx, gate, task), _boxes(tx, task.id)]


def _gate_buttons(gate: Gate) -> tuple[Button, ...]:
    def button(label: str, command: str, style: str = "default", ask: str | None = None) -> Button:
        return Button(label, command, style, gate.id, gate.patch_id, ask)

    if gate.kind is GateKind.QUESTION:
        return (
            *(button(option, f"answer {gate.ref} {option}") for option in gate.options[:3]),
            button("Answer…", f"answer {gate.ref}", ask="Your answer?"),
        )
    if gate.kind is GateKind.BUDGET:
        return budget_buttons(gate)
    if gate.kind is GateKind.PERMISSION:
        kinds = [one.get("kind") for one in gate.request.get("options") or [] if one]
        lasting = (
            (button("Allow always", f"approve {gate.ref} always"),)
            if "allow_always" in kinds
            else ()
        )
        return (
            button("Allow once", f"approve {gate.ref}", "primary"),
            *lasting,
            button("Deny", f"reject {gate.ref}", "danger"),
        )
    merges = gate.kind is GateKind.MERGE and gate.base != gate.head
    approve = "Approve & merge" if merges else "Approve"
    return (
        button(approve, f"approve {gate.ref}", "primary"),
        button("Reject…", f"reject {gate.ref}", "danger", "What is to be changed?"),
        Button("Show", f"show {gate.task_id}"),
    )


def _marked(change: Change) -> list[str]:
    if not change.marked:
        return []
    more = len(change.marked) - 5
    names = ", ".join(map(path, change.marked[:5])) + (f" and {more} more" if more > 0 else "")
    return [f"⚠️ Look twice, this steers agents, hooks or CI: {names}"]


def _boxes(tx: Tx, task_id: int) -> str:
    found = tx.all(
        "SELECT text, state FROM criteria WHERE task_id = ? AND command IS NULL ORDER BY position",
        (task_id,),
    )
    return "\n".join(f"{'☑' if row['state'] == 'ticked' else '☐'} {row['text']}" for row in found)

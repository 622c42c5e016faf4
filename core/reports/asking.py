"""What an agent asks of people: gates that are answered in chat and fetched by the agent."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import Refused, Unclear
from core.house import House
from core.model import Attempt, Gate, GateKind, IterationState, Role, task_ref
from core.reports.speaking import TooOften, at_work, one_line, visible
from core.store import doors, gates, sessions
from core.store.database import Tx

LONGEST_TEXT = 20_000
"""Characters of a question."""
LARGEST_INPUT = 64 << 10
"""Bytes of the input of a tool for which leave is asked."""
MOST_OPTIONS, LONGEST_OPTION, LONGEST_KEY = 10, 200, 200
MOST_OPEN, MOST_GATES = 5, 200
"""Gates that an attempt may have open at once, and altogether."""


def question(
    tx: Tx, house: House, attempt: Attempt, text: str, options: Sequence[str] = (), key: str = ""
) -> Gate:
    """Ask a person; the iteration waits for the answer, which is fetched from the gate. The
    same key again gives the same gate. Raises Unclear, TooOften or Over."""
    if not text.strip():
        raise Unclear("Say what you ask: the text is empty.")
    if len(text) > LONGEST_TEXT:
        raise Unclear(f"A question has at most {LONGEST_TEXT} characters.")
    if len(options) > MOST_OPTIONS:
        raise Unclear(f"A question has at most {MOST_OPTIONS} options.")
    labels = tuple(one_line(house.redact(option), LONGEST_OPTION) for option in options)
    if not all(labels):
        raise Unclear("An option is empty.")
    return _ask(tx, house, attempt, GateKind.QUESTION, text, key, labels, {})


def permission(
    tx: Tx, house: House, attempt: Attempt, tool: str, given: Mapping[str, Any], key: str = ""
) -> Gate:
    """Ask for leave to use a tool, as `question` does. All of the input stands on the gate."""
    name = one_line(tool, 100)
    if not name:
        raise Unclear("Say which tool: the name is empty.")
    shown = json.dumps(dict(given), ensure_ascii=False, indent=2)
    if len(shown.encode("utf-8", "replace")) > LARGEST_INPUT:
        raise Unclear(f"A tool's input has at most {LARGEST_INPUT >> 10} KiB.")
    text = f"{name}\n{visible(shown)}"
    return _ask(tx, house, attempt, GateKind.PERMISSION, text, key, (), {"tool": name})


def _ask(
    tx: Tx,
    house: House,
    attempt: Attempt,
    kind: GateKind,
    text: str,
    key: str,
    options: tuple[str, ...],
    request: Mapping[str, Any],
) -> Gate:
    session, iteration = at_work(tx, attempt)
    if len(key) > LONGEST_KEY:
        raise Unclear(f"A key has at most {LONGEST_KEY} characters.")
    body = house.redact(text)
    known = doors.gates_of(tx, attempt)
    request_key = f"{doors.API}:{kind.value}:{key or secrets.token_hex(8)}"
    for gate in known:
        same = gate.kind is kind and gate.body == body and gate.answered_at is None
        if (not key and same) or (key and gate.request.get("key") == request_key):
            return gate
    if sum(gate.answered_at is None for gate in known) >= MOST_OPEN:
        raise TooOften(f"{MOST_OPEN} of your requests wait for an answer already.")
    if len(known) >= MOST_GATES:
        raise Refused(f"You have asked {MOST_GATES} times: go on without, or end.")
    verb = "asks" if kind is GateKind.QUESTION else "wants to use a tool"
    opened = gates.open_gate(
        tx,
        gates.NewGate(
            kind=kind,
            task_id=session.task_id,
            title=f"{session.agent} {verb} · {task_ref(session.task_id)}",
            body=body,
            session_id=session.id,
            attempt=attempt.number,
            agent=session.agent,
            options=options,
            request={**request, "via": doors.API, "key": request_key},
            request_key=request_key,
            may_answer=Role.APPROVER,
        ),
    )
    if opened is None:
        raise Refused(f"{session.id} has asked that already.")
    if iteration.state is IterationState.RUNNING:
        sessions.move_iteration(tx, iteration, IterationState.WAITING)
    return opened

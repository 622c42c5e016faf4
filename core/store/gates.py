"""Gates: whatever waits for a human, opened and answered once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core import lifecycle
from core.errors import Refused, Unclear
from core.model import (
    Actor,
    Attempt,
    Change,
    Event,
    Gate,
    GateKind,
    GateState,
    Place,
    Role,
    Severity,
    gate_ref,
    task_ref,
)
from core.store import rows
from core.store.database import Tx


@dataclass(frozen=True, slots=True)
class NewGate:
    kind: GateKind
    task_id: int | None
    title: str
    body: str = ""
    step: str | None = None
    session_id: str | None = None
    attempt: int | None = None
    iteration: int | None = None
    agent: str | None = None
    options: tuple[str, ...] = ()
    request: Mapping[str, Any] = field(default_factory=dict)
    request_key: str | None = None
    change: Change | None = None
    may_answer: Role = Role.APPROVER
    scope: str = "task"
    subject: str | None = None
    run_id: int | None = None


def open_gate(tx: Tx, new: NewGate) -> Gate | None:
    """Open it; None when the same request of the same attempt has a gate already."""
    if new.request_key is not None and tx.one(
        "SELECT 1 FROM gates WHERE session_id = ? AND attempt = ? AND request_key = ?",
        (new.session_id, new.attempt, new.request_key),
    ):
        return None
    change = new.change
    gate_id = tx.insert(
        "gates",
        kind=new.kind.value,
        state=GateState.OPEN.value,
        scope=new.scope,
        subject=new.subject,
        run_id=new.run_id,
        task_id=new.task_id,
        session_id=new.session_id,
        attempt=new.attempt,
        iteration=new.iteration,
        step=new.step,
        agent=new.agent,
        title=new.title,
        body=new.body,
        options=json.dumps(new.options),
        request=json.dumps(dict(new.request)),
        request_key=new.request_key,
        patch_id=change.patch_id if change else None,
        base=change.base if change else None,
        head=change.head if change else None,
        may_answer=int(new.may_answer),
        opened_at=tx.now,
    )
    tx.emit(
        Event(
            "gate.opened",
            f"{gate_ref(gate_id)} {new.title}",
            Severity.WARNING,
            task_id=new.task_id,
            agent=new.agent,
            session_id=new.session_id,
            gate_id=gate_id,
            run_id=new.run_id,
            payload={"kind": new.kind.value},
        )
    )
    return get(tx, gate_id)


def requests_of(tx: Tx, attempt: Attempt) -> dict[str, GateState]:
    """What the attempt has asked for, by the request's key, and what has become of it."""
    sql = (
        "SELECT request_key, state FROM gates "
        "WHERE session_id = ? AND attempt = ? AND request_key IS NOT NULL"
    )
    found = tx.all(sql, (attempt.session_id, attempt.number))
    return {row["request_key"]: GateState(row["state"]) for row in found}


def rewrite(tx: Tx, gate: Gate, request: Mapping[str, Any]) -> None:
    """What its card shows has changed; what it asks is the same."""
    tx.update("gates", {"id": gate.id, "state": "open"}, request=json.dumps(dict(request)))


def get(tx: Tx, gate_id: int) -> Gate:
    """The gate; raises Unclear, naming those that are open."""
    row = tx.one("SELECT * FROM gates WHERE id = ?", (gate_id,))
    if row is None:
        waiting = ", ".join(gate.ref for gate in open_gates(tx)[:5])
        raise Unclear(
            f"No gate G-{gate_id}. "
            + (f"Open: {waiting}." if waiting else "Nothing waits for you.")
        )
    return rows.gate(row)


def open_gates(tx: Tx, task_id: int | None = None) -> list[Gate]:
    """The open ones, oldest first; of one task where its id is given."""
    where, params = ("AND task_id = ?", (task_id,)) if task_id is not None else ("", ())
    sql = f"SELECT * FROM gates WHERE state = 'open' {where} ORDER BY opened_at, id"  # noqa: S608
    return [rows.gate(row) for row in tx.all(sql, params)]


def close(
    tx: Tx, gate: Gate, to: GateState, *, actor: Actor, place: Place, answer: str = ""
) -> Gate:
    """Answer it, once. Raises Refused naming who was first when it is answered already."""
    if gate.state is not GateState.OPEN:
        raise Refused(answered_words(gate))
    lifecycle.check(gate.ref, gate.state, to)
    if not tx.update(
        "gates",
        {"id": gate.id, "state": "open"},
        state=to.value,
        answered_at=tx.now,
        answered_by=actor.key,
        answered_name=actor.name,
        answered_place=f"{place.platform}:{place.chat}",
        answer=answer,
    ):
        raise Refused(answered_words(get(tx, gate.id)))
    tx.insert(
        "gate_votes",
        gate_id=gate.id,
        actor=actor.key,
        name=actor.name,
        decision=to.value,
        comment=answer,
        place=f"{place.platform}:{place.chat}",
        created_at=tx.now,
    )
    who = actor.name or actor.user_id
    about = f" ({task_ref(gate.task_id)})" if gate.task_id else ""
    tx.emit(
        Event(
            f"gate.{to.value}",
            f"{who} {to.value} {gate.ref}{about}" + (f": {answer}" if answer else ""),
            task_id=gate.task_id,
            session_id=gate.session_id,
            gate_id=gate.id,
            payload={"by": actor.key, "kind": gate.kind.value},
        )
    )
    return get(tx, gate.id)


def cancel(tx: Tx, gate: Gate, why: str) -> None:
    """Close it because what it asks about is gone."""
    if tx.update(
        "gates",
        {"id": gate.id, "state": "open"},
        state=GateState.CANCELLED.value,
        answered_at=tx.now,
        answer=why,
    ):
        tx.emit(
            Event(
                "gate.cancelled",
                f"{gate.ref} is off: {why}",
                task_id=gate.task_id,
                session_id=gate.session_id,
                gate_id=gate.id,
            )
        )


def cancel_of_session(tx: Tx, session_id: str, why: str) -> None:
    """The end of a session cancels its permission and question gates (model.md, rule 8)."""
    for gate in open_gates(tx):
        if gate.session_id == session_id and gate.kind in (GateKind.PERMISSION, GateKind.QUESTION):
            cancel(tx, gate, why)


def answered_words(gate: Gate) -> str:
    """Who was first, for somebody who comes second."""
    if gate.state is GateState.CANCELLED:
        return f"{gate.ref} is off: {gate.answer or 'no longer needed'}."
    return f"{gate.ref} was {gate.state.value} by {_who(gate)} already."


def closed_words(gate: Gate) -> str:
    """What became of it: `approved by Ann`."""
    if gate.state is GateState.CANCELLED:
        return f"no longer needed: {gate.answer}" if gate.answer else "no longer needed"
    return f"{gate.state.value} by {_who(gate)}"


def _who(gate: Gate) -> str:
    return gate.answered_name or (gate.answered_by or "").partition(":")[2] or "Bullpen"

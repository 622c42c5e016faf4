"""Commands that decide: approve, reject, answer, and the input to a running agent."""

from __future__ import annotations

import re

from core import acts
from core.acts import money
from core.cards.budget import amount
from core.commands.amounts import budget
from core.commands.desk import Act, Desk
from core.commands.grammar import Command, gate_id, task_id
from core.commands.reply import Button, Reply
from core.errors import Refused, Unclear
from core.keys import typed
from core.killpoints import kill_point
from core.model import Gate, GateKind, SessionState
from core.planning.budgets import Amount
from core.store import gates, inputs, sessions, tasks
from core.store.database import Tx


async def approve(desk: Desk, command: Command) -> Reply | Act:
    def act(tx: Tx) -> Reply:
        found = _gate(tx, desk, command)
        if isinstance(found, Reply):
            return found
        _as_shown(desk, found)
        if found.kind is GateKind.BUDGET:
            return _more(tx, desk, found, command.text)
        said = command.text.strip().lower()
        lasting = said == "always" and _can_last(found)
        words = "" if said in _SPANS and not lasting else command.text
        gate = acts.approve(tx, desk.house, found, desk.actor, desk.place, words)
        kill_point("in-approval")
        once = _once(gate, said) if said in _SPANS[1:] and not lasting else ""
        return Reply(f"{gate.ref} approved{once}. " + _next_words(gate), silent=True)

    return act


_SPANS = ("once", "session", "always")


def _can_last(gate: Gate) -> bool:
    """Whether its agent can be told to ask no more for the like."""
    offered = gate.request.get("options") or []
    return gate.kind is GateKind.PERMISSION and any(
        one.get("kind") == "allow_always" for one in offered if one
    )


def _once(gate: Gate, said: str) -> str:
    """That more was asked for than can be had."""
    if gate.kind is not GateKind.PERMISSION:
        return ", this once"
    hint = "; it could be told `always`" if _can_last(gate) else ""
    return f", this once: {gate.agent} can't be told `{said}`{hint}"


def _more(tx: Tx, desk: Desk, gate: Gate, words: str) -> Reply:
    """A budget's gate: so much more (the first button's where nothing is said), or only this
    step. Raises Unclear for anything else: money is not given by guess."""
    said = words.strip().lower()
    if money.FINISH.fullmatch(said):
        closed, then = money.finish(tx, desk.house, gate, desk.actor, desk.place)
        return Reply(f"{closed.ref}: {then}", silent=True)
    more = money.offered(gate) if not said else _amount(gate, said.removeprefix("+").strip())
    closed, then = money.grant(tx, desk.house, gate, desk.actor, desk.place, more)
    return Reply(f"{closed.ref}: +{amount(more)}. {then}", silent=True)


def _amount(gate: Gate, said: str) -> Amount:
    """`2usd`, `$3`, `100k`; a bare number is in what the gate counts."""
    if re.fullmatch(r"\d+([.,]\d+)?", said):
        said += " usd" if gate.request.get("more_usd") else " tokens"
    try:
        return Amount(*budget(said))
    except Unclear:
        raise Unclear(
            f"Say /approve {gate.ref} +2usd (or +200k), /approve {gate.ref} finish, "
            f"or /reject {gate.ref} to stop."
        ) from None


def _next_words(gate: Gate) -> str:
    if gate.kind is GateKind.MERGE and gate.base == gate.head:
        return "There is nothing to merge."
    return {
        GateKind.MERGE: "It is being merged.",
        GateKind.PERMISSION: f"{gate.agent} goes on.",
    }.get(gate.kind, "")


async def reject(desk: Desk, command: Command) -> Reply | Act:
    def act(tx: Tx) -> Reply:
        found = _gate(tx, desk, command)
        if isinstance(found, Reply):
            return found
        _as_shown(desk, found)
        if found.kind is GateKind.BUDGET:
            return _stopped(tx, desk, found, command.text)
        gate = acts.reject(tx, desk.house, found, desk.actor, desk.place, command.text)
        if gate.kind is GateKind.PERMISSION:
            return Reply(f"{gate.ref} denied.", silent=True)
        words = f"{gate.ref} sent back to {gate.agent or 'the agent'}."
        agent = desk.house.agents.get(gate.agent or "")
        missing = desk.house.missing(agent) if agent is not None else None
        return Reply(words, (f"It waits: {missing}",) if missing else (), silent=not missing)

    return act


def _stopped(tx: Tx, desk: Desk, gate: Gate, words: str) -> Reply:
    closed, then = money.stop(tx, desk.house, gate, desk.actor, desk.place, words)
    return Reply(f"{closed.ref}: {then}", silent=True)


async def answer(desk: Desk, command: Command) -> Reply | Act:
    def act(tx: Tx) -> Reply:
        found = _gate(tx, desk, command)
        if isinstance(found, Reply):
            return found
        gate = acts.answer(tx, desk.house, found, desk.actor, desk.place, command.text)
        return Reply(f"{gate.ref} answered. {gate.agent} goes on.", silent=True)

    return act


def _gate(tx: Tx, desk: Desk, command: Command) -> Gate | Reply:
    """The gate that is meant; where it isn't clear which, a Reply that lists them."""
    if not command.words:
        return _waiting(gates.open_gates(tx), "Which one?", command.name)
    number = gate_id(command.words[0])
    if number is not None:
        return _allowed(desk, gates.get(tx, number))
    task = tasks.get(tx, task_id(command.words[0]))
    found = gates.open_gates(tx, task.id)
    if not found:
        raise Refused(_nothing_waits(tx, task.id, acts.situation(tx, desk.house, task).value))
    if len(found) > 1:
        return _waiting(found, f"{task.ref} has several open gates.", command.name)
    return _allowed(desk, found[0])


def _allowed(desk: Desk, gate: Gate) -> Gate:
    """Raises Refused where this gate asks for more than the verb does."""
    if desk.role < gate.may_answer:
        raise Refused(
            f"{gate.ref} is for people with the role {gate.may_answer.name.lower()}; "
            f"yours is {desk.role.name.lower()}."
        )
    return gate


def _nothing_waits(tx: Tx, wanted: int, situation: str) -> str:
    others = ", ".join(gate.ref for gate in gates.open_gates(tx)[:5])
    return f"TASK-{wanted:03d} is {situation}: nothing to decide there. " + (
        f"Waiting for you: {others}." if others else "Nothing waits for you."
    )


def _waiting(found: list[Gate], title: str, verb: str) -> Reply:
    if not found:
        return Reply("Nothing waits for you.")
    lines = tuple(f"{gate.ref} · {gate.title}" for gate in found[:10])
    buttons = tuple(Button(f"Show {gate.ref}", f"gate {gate.ref}") for gate in found[:4])
    return Reply(title, lines, buttons=buttons)


def _as_shown(desk: Desk, gate: Gate) -> None:
    """A button decides about what it showed, and about nothing that came later."""
    if desk.hash is not None and gate.patch_id is not None and desk.hash != gate.patch_id:
        raise Refused(
            f"{gate.ref} has changed since that button was drawn. Look again: /gate {gate.ref}"
        )


async def say(desk: Desk, command: Command) -> Reply | Act:
    """Words for a running agent, by task, session or agent."""
    if not command.words or not command.text:
        raise Unclear("Say what to whom: /say 42 TEXT, or /say AGENT TEXT")

    def act(tx: Tx) -> Reply:
        session_id = _running(tx, command.words[0])
        session = sessions.get(tx, session_id)
        data = typed(command.text) if session.interactive else None
        data = data or desk.house.drivers[session.driver].say(command.text)
        if data is None:
            raise Refused(
                f"{session.agent} takes no input while it runs. It can be stopped: "
                f"/kill {session.task_id}"
            )
        words = desk.house.redact(command.text)[:200]
        by = desk.actor.name or desk.actor.user_id
        heard = None if session.interactive else command.text
        inputs.owe(tx, session.id, data, said=heard, by=by)
        sessions.tell(tx, session, "task.edited", f"{by} to {session.agent}: {words}")
        return Reply(f"Told {session.agent}.", silent=True)

    return act


def _running(tx: Tx, word: str) -> str:
    """The one running session of a task, an agent, or of that id."""
    running = tx.all(
        "SELECT id, task_id, agent FROM sessions WHERE state = ?", (SessionState.RUNNING.value,)
    )
    fits = [row for row in running if word in (row["id"], row["agent"])]
    if not fits and word.lower().removeprefix("task-").lstrip("#0").isdigit():
        wanted = tasks.get(tx, task_id(word)).id
        fits = [row for row in running if row["task_id"] == wanted]
    if len(fits) == 1:
        return str(fits[0]["id"])
    if not fits:
        raise Refused(f"Nothing of {word[:40]} runs now. /sessions shows what does.")
    raise Unclear(
        f"{word} runs several: " + ", ".join(row["id"] for row in fits[:6]) + ". Say which."
    )

"""How much an agent may ask of people: what they answer doesn't count against it."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.lifecycle import Situation
from core.model import AgentEvent, AgentEventKind, GateKind
from core.sessions.crowding import AT_ONCE, IN_VAIN, beyond
from core.store import sessions
from core.store.database import Store, Tx
from core.store.gates import NewGate, open_gate
from tests.fakes.clock import FakeClock
from tests.house_bench import bring, house


def asked(tx: Tx, session_id: str, state: str, number: int) -> None:
    """One request that has become that."""
    attempt = sessions.get_attempt(tx, session_id)
    gate = open_gate(tx, NewGate(
        GateKind.PERMISSION, sessions.get(tx, session_id).task_id, "May I?", session_id=session_id,
        attempt=attempt.number, request_key=f"{state}-{number}"))
    assert gate is not None
    if state != "open":
        tx.run("UPDATE gates SET state = ?, answered_at = ? WHERE id = ?", (state, tx.now, gate.id))


@pytest.mark.parametrize("before, left", [
    ([], AT_ONCE), ([("open", 7)], AT_ONCE - 7), ([("open", AT_ONCE)], 0),
    ([("approved", 3 * IN_VAIN)], AT_ONCE), ([("rejected", 3 * IN_VAIN)], AT_ONCE),
    ([("answered", 3 * IN_VAIN), ("open", 1)], AT_ONCE - 1),
    ([("cancelled", IN_VAIN - 1)], AT_ONCE), ([("cancelled", IN_VAIN)], 0),
    ([("cancelled", IN_VAIN - 50), ("expired", 50)], 0)])
async def test_so_many_more_may_be_asked(
        tmp_path: Path, before: list[tuple[str, int]], left: int) -> None:
    store = await Store(tmp_path / "data", FakeClock().now).open()
    home = house(store, tmp_path)
    task = await store.write(lambda tx: bring(tx, home, Situation.WORKING))
    (row,) = await store.read("SELECT id FROM sessions WHERE task_id = ?", (task.id,))

    def play(tx: Tx) -> int:
        for state, many in before:
            for number in range(many):
                asked(tx, row["id"], state, number)
        new = [AgentEvent(AgentEventKind.QUESTION, "?", {"request": {"request_id": f"new-{n}"}})
               for n in range(2 * AT_ONCE)]
        told_again = [AgentEvent(AgentEventKind.QUESTION, "?", {"request": {"request_id": key}})
                      for key in [f"{state}-0" for state, _ in before]]
        denied = beyond(tx, sessions.get_attempt(tx, row["id"]), [*told_again, *new])
        assert denied == new[len(new) - len(denied):], "the first of them are asked"
        return len(new) - len(denied)

    assert await store.write(play) == left
    await store.close()

"""Two doors that must be shut: an agent that has given its result hears nothing more, and a
gate that asks for more than its verb does is not opened by the task's number."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.commands import decide
from core.commands.desk import Desk
from core.commands.grammar import parse
from core.commands.verbs import FORMS
from core.errors import Refused
from core.house import House
from core.lifecycle import Situation
from core.model import Role
from core.store import inputs, sessions
from core.store.database import Store
from tests.fakes.clock import FakeClock
from tests.house_bench import ANN, HERE, bring, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    store = await Store(tmp_path / "data", FakeClock().now).open()
    yield house(store, tmp_path)
    await store.close()


async def test_what_comes_after_the_last_input_is_refused(home: House) -> None:
    task = await home.store.write(lambda tx: bring(tx, home, Situation.WORKING))
    (session,) = await home.store.write(lambda tx: sessions.open_of_task(tx, task.id))
    await home.store.write(lambda tx: inputs.owe(tx, session.id, b"", last=True))
    with pytest.raises(Refused, match="listens no more"):
        await home.store.write(lambda tx: inputs.owe(tx, session.id, b"late"))


@pytest.mark.parametrize("said", ["approve 1", "approve G-1"])
async def test_a_gate_for_admins_is_shut_by_whichever_name(home: House, said: str) -> None:
    await home.store.write(lambda tx: bring(tx, home, Situation.DECIDING))
    await home.store.write(lambda tx: tx.run("UPDATE gates SET may_answer = ?",
                                             (int(Role.ADMIN),)))
    desk = Desk(home, ANN, Role.APPROVER, HERE, {})
    act = await decide.approve(desk, parse(said, FORMS))
    assert callable(act)
    with pytest.raises(Refused, match="role admin"):
        await home.store.write(act)
    assert [row["state"] for row in await home.store.read("SELECT state FROM gates")] == ["open"]

"""A button of a failure's card decides about the failure, and about nothing that came later."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import cards
from core.commands import change
from core.commands.desk import Desk
from core.commands.grammar import parse
from core.commands.verbs import FORMS
from core.errors import Refused
from core.lifecycle import Situation
from core.model import Role
from core.store import tasks
from core.store.database import Store
from tests.fakes.clock import FakeClock
from tests.house_bench import ANN, HERE, bring, house


async def test_giving_up_late_does_not_end_what_goes_on_again(tmp_path: Path) -> None:
    store = await Store(tmp_path / "data", FakeClock().now).open()
    try:
        home = house(store, tmp_path)
        failed = await store.write(lambda tx: bring(tx, home, Situation.FAILED))
        retry, _, _, give_up = cards.failure_buttons(failed)
        desk = Desk(home, ANN, Role.ADMIN, HERE, {}, hash=retry.hash)
        act = await change.retry(desk, parse(retry.command, FORMS))
        assert callable(act)
        await store.write(act)
        late = await change.cancel(desk, parse(give_up.command, FORMS))
        assert callable(late)
        with pytest.raises(Refused, match="has gone on since"):
            await store.write(late)
        assert (await store.write(lambda tx: tasks.get(tx, failed.id))).state == "ready"
    finally:
        await store.close()

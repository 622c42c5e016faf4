"""What is owed to chats: replaced by key, in order, never settled twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.commands.reply import Button, Reply
from core.store import buttons, deliveries
from core.store.database import Store, Tx
from tests.fakes.clock import FakeClock

CHAT = {"platform": "fake", "chat": "1"}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(data_dir: Path, clock: FakeClock) -> AsyncIterator[Store]:
    store = await Store(data_dir, clock.now).open()
    yield store
    await store.close()


def owe(tx: Tx, title: str, urgency: int = 2, key: str | None = None, **more: object) -> int:
    reply = Reply(title, key=key, buttons=more.pop("buttons", ()))  # type: ignore[arg-type]
    return deliveries.owe(tx, **CHAT, reply=reply, urgency=urgency, **more)  # type: ignore[arg-type]


async def states(store: Store) -> list[tuple[str, str | None]]:
    rows = await store.read("SELECT state, note FROM deliveries ORDER BY seq")
    return [(row["state"], row["note"]) for row in rows]


async def test_a_newer_one_with_the_same_key_supersedes_and_inherits(store: Store) -> None:
    def act(tx: Tx) -> deliveries.Attempt | None:
        owe(tx, "old", urgency=0, key="task:1")
        owe(tx, "new", urgency=3, key="task:1", silent=True)
        return deliveries.begin(tx, "fake", "1")

    attempt = await store.write(act)
    assert attempt is not None
    assert (attempt.plain.title, attempt.urgency, attempt.silent) == ("new", 0, False)
    assert await states(store) == [("dropped", "superseded"), ("owed", None)]


async def test_a_replaced_message_keeps_its_place_in_the_queue(
    store: Store, clock: FakeClock
) -> None:
    await store.write(lambda tx: owe(tx, "a1", key="a"))
    clock.forward(1)
    await store.write(lambda tx: owe(tx, "b1", key="b"))
    clock.forward(1)
    await store.write(lambda tx: owe(tx, "a2", key="a"))
    attempt = await store.write(lambda tx: deliveries.begin(tx, "fake", "1"))
    assert attempt is not None and attempt.plain.title == "a2"


async def test_the_most_urgent_goes_first_and_equals_in_order(store: Store) -> None:
    def act(tx: Tx) -> list[str]:
        for title, urgency in (("n1", 2), ("p", 3), ("n2", 2), ("d", 0)):
            owe(tx, title, urgency)
        order = []
        while attempt := deliveries.begin(tx, "fake", "1"):
            order.append(attempt.plain.title)
            deliveries.sent(tx, attempt.seq, str(len(order)))
        return order

    assert await store.write(act) == ["d", "n1", "n2", "p"]


async def test_a_pause_holds_the_whole_chat_and_outlives_a_replacement(store: Store) -> None:
    def act(tx: Tx) -> None:
        seq = owe(tx, "a", key="k")
        deliveries.put_off(tx, seq, tx.now + 5000, "flooded")
        owe(tx, "b", key="k")
        owe(tx, "urgent", urgency=0)

    await store.write(act)
    (chat,) = await deliveries.waiting(store, "fake")
    assert chat.not_before == store.now() + 5000


async def test_superseded_on_its_way_is_edited_by_the_newer_one(store: Store) -> None:
    def act(tx: Tx) -> tuple[bool, str | None]:
        owe(tx, "old", key="k")
        first = deliveries.begin(tx, "fake", "1")
        owe(tx, "new", key="k")
        assert first is not None
        settled = deliveries.sent(tx, first.seq, "77")
        second = deliveries.begin(tx, "fake", "1")
        assert second is not None
        return settled, second.message

    assert await store.write(act) == (False, "77")
    assert await states(store) == [("dropped", "superseded"), ("owed", None)]


async def test_a_chat_that_is_gone_drops_all_and_says_so_once(store: Store) -> None:
    def act(tx: Tx) -> int:
        owe(tx, "a")
        owe(tx, "b")
        return deliveries.drop_chat(tx, "fake", "1")

    assert await store.write(act) == 2
    assert await states(store) == [("dropped", "chat gone")] * 2
    assert len(await store.read("SELECT 1 FROM events WHERE type = 'chat.gone'")) == 1


async def test_a_prompt_and_what_it_is_about_are_found_by_the_message(store: Store) -> None:
    def act(tx: Tx) -> None:
        reply = Reply("Why?", extra={"prompt": "reject G-1", "force_reply": "the reason"})
        seq = deliveries.owe(tx, **CHAT, reply=reply, urgency=1, gate_id=None, task_id=None)
        deliveries.sent(tx, seq, "5")

    await store.write(act)
    (row,) = await store.read("SELECT prompt FROM messages WHERE message = '5'")
    assert row["prompt"] == "reject G-1"


async def test_keys_are_opaque_bound_and_kept_over_an_edit(store: Store) -> None:
    drawn = (Button("Approve", "approve G-1", gate=1, hash="h"), Button("Show", "show 1"))

    def act(tx: Tx) -> tuple[list[str | None], list[str | None], str | None]:
        owe(tx, "card", key="k", buttons=drawn)
        first = deliveries.begin(tx, "fake", "1")
        assert first is not None
        deliveries.sent(tx, first.seq, "9", first.reply.buttons)
        owe(tx, "card 2", key="k", buttons=drawn)
        second = deliveries.begin(tx, "fake", "1")
        assert second is not None
        found = buttons.find(tx, first.reply.buttons[0].key or "")
        assert found is not None and found.hash == "h" and found.once
        return _keys(first), _keys(second), found.message

    first, second, message = await store.write(act)
    assert first == second and message == "9"
    assert all(key and len(key.encode()) <= 40 and "approve" not in key for key in first)
    assert len(set(first)) == 2


def _keys(attempt: deliveries.Attempt) -> list[str | None]:
    return [button.key for button in attempt.reply.buttons]

"""Who may do what, and how often a button counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.commands.reply import Button
from core.model import Actor, Role
from core.store import buttons, people
from core.store.database import Store, Tx
from tests.fakes.clock import FakeClock

ANN, BOB = Actor("telegram", "1", "Ann"), Actor("telegram", "2", "Bob")
WRONG = "AAAA-AAAA"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(data_dir: Path, clock: FakeClock) -> AsyncIterator[Store]:
    store = await Store(data_dir, clock.now).open()
    yield store
    await store.close()


def mint(tx: Tx, button: Button) -> str:
    (minted,) = buttons.mint(tx, platform="fake", chat="1", delivery=1, buttons=[button])
    assert minted.key is not None
    return minted.key


async def test_a_decision_counts_once_and_a_look_as_often_as_one_likes(store: Store) -> None:
    gate = await store.write(lambda tx: mint(tx, Button("Approve", "approve G-1", gate=1)))
    look = await store.write(lambda tx: mint(tx, Button("Show", "show 1")))
    presses = [
        await store.write(lambda tx, key=key, who=who: buttons.use(tx, key, who))
        for key, who in ((gate, ANN), (gate, BOB), (look, ANN), (look, BOB))
    ]
    assert presses == [True, False, True, True]
    found = await store.write(lambda tx: buttons.find(tx, gate))
    assert found is not None and found.used_by == ANN.key


async def test_buttons_expire_and_are_swept_later(store: Store, clock: FakeClock) -> None:
    key = await store.write(lambda tx: mint(tx, Button("Show", "show 1")))
    clock.forward(7 * 86_400)
    assert not await store.write(lambda tx: buttons.use(tx, key, ANN))
    assert await store.write(buttons.sweep) == 0
    found = await store.write(lambda tx: buttons.find(tx, key))
    assert found is not None and found.expired(clock.now())
    clock.forward(8 * 86_400)
    assert await store.write(buttons.sweep) == 1


async def test_unknown_keys_are_nothing(store: Store) -> None:
    assert await store.write(lambda tx: buttons.find(tx, "made-up")) is None
    assert not await store.write(lambda tx: buttons.use(tx, "made-up", ANN))


async def test_the_configuration_comes_before_what_was_granted(store: Store) -> None:
    configured = {"telegram": {"1": Role.VIEWER}}
    await store.write(lambda tx: people.let_in(tx, ANN, Role.ADMIN, by="x"))
    await store.write(lambda tx: people.let_in(tx, BOB, Role.OPERATOR, by="x"))
    roles = await store.write(
        lambda tx: [people.role_of(tx, who, configured) for who in (ANN, BOB)]
    )
    assert roles == [Role.VIEWER, Role.OPERATOR]
    stranger = Actor("slack", "1", "Ann")  # the same id elsewhere is somebody else
    assert await store.write(lambda tx: people.role_of(tx, stranger, configured)) is Role.NOBODY


async def test_the_first_paired_is_admin_and_a_code_lets_one_in(store: Store) -> None:
    code = await store.write(people.new_pairing_code)
    first = await store.write(lambda tx: people.pair(tx, ANN, f" {code.lower()} ", {}))
    again = await store.write(lambda tx: people.pair(tx, BOB, code, {}))
    assert (first.role, again.role) == (Role.ADMIN, None)
    assert "No pairing code is open" in again.problem
    second = await store.write(people.new_pairing_code)
    later = await store.write(lambda tx: people.pair(tx, BOB, second, {}))
    assert later.role is Role.VIEWER


async def test_who_is_configured_as_admin_makes_the_paired_a_viewer(store: Store) -> None:
    code = await store.write(people.new_pairing_code)
    configured = {"telegram": {"1": Role.ADMIN}}
    paired = await store.write(lambda tx: people.pair(tx, BOB, code, configured))
    assert paired.role is Role.VIEWER


async def test_five_wrong_tries_end_a_code(store: Store) -> None:
    code = await store.write(people.new_pairing_code)
    for _ in range(people.WRONG_TRIES - 1):
        assert (await store.write(lambda tx: people.pair(tx, BOB, WRONG, {}))).role is None
    # the fourth wrong one has left it alive; this is the fifth
    assert (await store.write(lambda tx: people.pair(tx, BOB, WRONG, {}))).role is None
    assert (await store.write(lambda tx: people.pair(tx, ANN, code, {}))).role is None


async def test_four_wrong_tries_do_not_and_an_hour_does(store: Store, clock: FakeClock) -> None:
    code = await store.write(people.new_pairing_code)
    for _ in range(people.WRONG_TRIES - 1):
        await store.write(lambda tx: people.pair(tx, BOB, WRONG, {}))
    assert (await store.write(lambda tx: people.pair(tx, ANN, code, {}))).role is Role.ADMIN
    late = await store.write(people.new_pairing_code)
    clock.forward(3600)
    assert (await store.write(lambda tx: people.pair(tx, BOB, late, {}))).role is None


async def test_a_new_code_voids_the_old_one_and_none_is_stored_readable(store: Store) -> None:
    old = await store.write(people.new_pairing_code)
    new = await store.write(people.new_pairing_code)
    assert (await store.write(lambda tx: people.pair(tx, ANN, old, {}))).role is None
    rows = await store.read("SELECT code_hash FROM pairing")
    assert len(rows) == 1 and new.replace("-", "") not in rows[0]["code_hash"].upper()

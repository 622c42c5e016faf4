"""Commands that change the settings while Bullpen runs."""

from __future__ import annotations

import difflib

from core import queue, reloading
from core.commands.desk import Act, Desk
from core.commands.grammar import Command, Form
from core.commands.reply import Button, Reply
from core.errors import BullpenError, Unclear
from core.model import Event, Role
from core.reloading import said
from core.store import settings
from core.store.database import Tx

# -- reload --------------------------------------------------------------------------------


async def reload(desk: Desk, command: Command) -> Reply | Act:
    """Read the files anew; a broken one is refused, and everything stays as it was."""
    try:
        found = await reloading.reload(desk.house)
    except BullpenError as error:
        lines = str(error).splitlines()
        faults = "1 fault" if len(lines) == 1 else f"{len(lines)} faults"
        return Reply(f"Nothing was loaded: {faults} in the files.", tuple(lines), error=True)

    def act(tx: Tx) -> Reply:
        reloading.tell(tx, found, desk.actor.name or desk.actor.key)
        return Reply("Loaded. What runs goes on.", found.lines)

    return act


# -- set -----------------------------------------------------------------------------------


async def set_(desk: Desk, command: Command) -> Reply | Act:
    """Alone: what can be set. With a key: that one. With a value: from now on that counts."""
    if len(command.words) > 2:
        raise Unclear("One key and one value: /set queue.max_concurrent 2")
    key = _key(desk, command.words[0]) if command.words else None
    if key is None:
        return lambda tx: _all(tx, desk)
    if len(command.words) == 1:
        return lambda tx: _one(tx, desk, key)
    word = command.words[1]
    if word == "default":
        return lambda tx: _set_back(tx, desk, key)
    value = desk.house.current.configured.checked(key, None if word == "none" else word)
    return lambda tx: _put(tx, desk, key, value)


def _key(desk: Desk, word: str) -> str:
    """The key that is meant: whole, or by its last part where only one ends so."""
    known = desk.house.current.configured.settings
    ends = [key for key in known if key.rpartition(".")[2] == word]
    if word in known or len(ends) == 1:
        return word if word in known else ends[0]
    if word in {key.partition(".")[0] for key in known}:
        mine = [key for key in known if key.startswith(f"{word}.")]
        raise Unclear(f"Which of them? {', '.join(mine)}.")
    near = difflib.get_close_matches(word, [*known], 1, 0.6)
    hint = f"Did you mean {near[0]}?" if near else "/set lists what there is."
    raise Unclear(f"There is no setting `{word[:60]}`. {hint}")


def _all(tx: Tx, desk: Desk) -> Reply:
    sections: dict[str, list[str]] = {}
    usual = desk.house.current.configured.settings
    now = _now(tx, desk)
    for key, value in now.items():
        section, _, name = key.rpartition(".")
        words = f"{name} {said(value)}" if section else said(value)
        if value != usual[key]:
            words += f" (file: {said(usual[key])})"
        sections.setdefault(section or name, []).append(words)
    other = [key for key in now if now[key] != usual[key]]
    return Reply(
        "Settings",
        ("To change one: /set KEY VALUE. As in the file again: /set KEY default.",),
        fields=tuple((section, ", ".join(words)) for section, words in sections.items()),
        buttons=tuple(Button(f"{key} as in the file", f"set {key} default") for key in other[:3]),
    )


def _now(tx: Tx, desk: Desk) -> dict[str, object]:
    """Key → what counts now."""
    configured = desk.house.current.configured
    rows = settings.changed(tx)
    found = {}
    for key, usual in configured.settings.items():
        try:
            found[key] = configured.checked(key, rows[key].value) if key in rows else usual
        except Unclear:
            found[key] = usual
    return found | {settings.PAUSED: queue.load(tx, desk.house.policy).paused}


def _one(tx: Tx, desk: Desk, key: str) -> Reply:
    now, usual = _now(tx, desk)[key], desk.house.current.configured.settings[key]
    if now == usual:
        return Reply(f"{key} is {said(now)}, as configured.", (f"/set {key} VALUE changes it.",))
    return Reply(f"{key} is {said(now)}; configured: {said(usual)}.", buttons=(_back(key),))


def _put(tx: Tx, desk: Desk, key: str, value: object) -> Reply:
    who, usual = desk.actor.name or desk.actor.key, desk.house.current.configured.settings[key]
    if key == settings.PAUSED and value:
        queue.pause(tx, desk.actor.key, None, f"The queue was paused by {who}", desk.place)
    elif key == settings.PAUSED:
        queue.resume(tx, desk.actor.key)
    else:
        settings.put(tx, key, value, desk.actor.key)
        _changed(tx, desk, key, value, f"{key} was set to {said(value)} by {who}")
    return Reply(
        f"{key} is {said(value)} now.",
        (f"Configured: {said(usual)}.",),
        buttons=(_back(key),) if value != usual else (),
    )


def _set_back(tx: Tx, desk: Desk, key: str) -> Reply:
    usual = desk.house.current.configured.settings[key]
    if settings.forget(tx, key):
        _changed(tx, desk, key, usual, f"{key} is as configured again: {said(usual)}")
        return Reply(f"{key} is as configured again: {said(usual)}.")
    return Reply(f"{key} is as configured already: {said(usual)}.")


def _changed(tx: Tx, desk: Desk, key: str, value: object, words: str) -> None:
    payload = {"setting": key, "value": value, "by": desk.actor.key}
    tx.emit(Event("settings.changed", words, payload=payload))


def _back(key: str) -> Button:
    return Button("As in the file", f"set {key} default")


_ADMIN = Role.ADMIN
TABLE: list[tuple[Form, object]] = [
    (
        Form("set", "/set [KEY [VALUE or default]]", _ADMIN, "change a setting", group="here"),
        set_,
    ),
    (Form("reload", "/reload", _ADMIN, "read the configuration anew", group="here"), reload),
]

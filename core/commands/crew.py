"""Commands about agents: look, register, change, enable, disable."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from core import cards
from core.commands import crewfields, crewlooks
from core.commands.desk import Act, Desk
from core.commands.grammar import Command, Form, Option
from core.commands.reply import Button, Reply
from core.errors import Refused, Unclear
from core.model import Agent, Event, Role
from core.store import crew
from core.store.crew import Override
from core.store.database import Tx

_USAGE = "/agent NAME, or /agent add, set, enable, disable, reset, remove NAME"


async def agent(desk: Desk, command: Command) -> Reply | Act:
    """Alone the list; with a name that one; with a verb and a name a change (admin)."""
    if not command.words:
        if command.options or command.many:
            raise Unclear(f"Whose? For instance /agent set coder-1 --max 2. {_USAGE}")
        return await crewlooks.agents(desk, command)
    if command.words[0] in _VERBS:
        return _change(desk, command)
    if len(command.words) > 1:
        near = difflib.get_close_matches(command.words[0], _VERBS, 1, 0.6)
        hint = f"Did you mean /agent {near[0]} {command.words[1]}?" if near else _USAGE
        raise Unclear(f"/agent {command.words[0][:40]} means nothing. {hint}")
    if command.options or command.many:
        raise Unclear(f"To change it: /agent set {command.words[0][:64]} …")
    return await crewlooks.agent(desk, command.words[0])


def _change(desk: Desk, command: Command) -> Act:
    verb = command.words[0]
    if desk.role < Role.ADMIN:
        raise Refused(
            f"/agent {verb} is for people with the role admin; yours is {desk.role.name.lower()}."
        )
    if len(command.words) != 2:
        raise Unclear(f"One name: /agent {verb} coder-1")
    return _VERBS[verb](desk, command.words[1], crewfields.fields(command))


# -- add and change ------------------------------------------------------------------------


def _add(desk: Desk, name: str, fields: Mapping[str, Any]) -> Act:
    if "driver" not in fields:
        raise Unclear(f"How to talk to it? /agent add {name[:64]} --driver claude (or command)")

    def act(tx: Tx) -> Reply:
        row = crew.find(tx, name)
        if name in desk.house.agents or (row is not None and row.own):
            raise Refused(
                f"There is an agent {name} already: /agent {name} shows it, "
                f"/agent set {name} … changes it."
            )
        changes = _said(fields)
        fresh = _checked(desk, name, changes)
        crew.put(tx, Override(name, changes, True, desk.actor.key))
        _tell(tx, desk, "agent.registered", name, f"{name} was registered by {_who(desk)}")
        missing = desk.house.missing(fresh)
        lines = (f"It can't work yet: {missing}",) if missing else ()
        return Reply(
            f"{name} is registered: {fresh.role.value}, {fresh.driver}.",
            lines,
            buttons=(
                Button("Show it", f"agent {name}"),
                Button("Disable", f"agent disable {name}"),
            ),
        )

    return act


def _set(desk: Desk, name: str, fields: Mapping[str, Any]) -> Act:
    desk.house.agent(name)
    if not fields:
        raise Unclear(f"What of it? For instance /agent set {name} --max 2")

    def act(tx: Tx) -> Reply:
        desk.house.agent(name)
        row = crew.find(tx, name) or Override(name, {}, False, desk.actor.key)
        changes = {**row.changes, **fields}
        if row.own:
            changes = _said(changes)
        _checked(desk, name, changes)
        crew.put(tx, Override(name, changes, row.own, row.created_by))
        words = ", ".join(sorted(fields))
        _tell(tx, desk, "settings.changed", name, f"{name} was changed by {_who(desk)}: {words}")
        back = () if row.own else (Button("As in the file", f"agent reset {name}"),)
        return Reply(
            f"{name} is changed: {words}.",
            ("What it works on goes on as it began.",) if crew.open_sessions(tx, name) else (),
            buttons=(Button("Show it", f"agent {name}"), *back),
        )

    return act


def _said(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is left as usual: so it is in a file, too."""
    return {key: value for key, value in fields.items() if value not in (None, [])}


def _checked(desk: Desk, name: str, changes: Mapping[str, Any]) -> Agent:
    try:
        return desk.house.current.configured.agent(name, changes, desk.actor.key)
    except Unclear as error:
        raise Unclear(crewfields.by_option(str(error), changes)) from error


# -- enable and disable --------------------------------------------------------------------


def _switch(desk: Desk, name: str, fields: Mapping[str, Any], on: bool) -> Act:
    _no_options(fields, "enable" if on else "disable", name)

    def act(tx: Tx) -> Reply:
        wanted = desk.house.agent(name)
        words = "enabled" if on else "disabled"
        if wanted.enabled == on:
            return Reply(f"{name} is {words} already.")
        row = crew.find(tx, name) or Override(name, {}, False, desk.actor.key)
        changes = {key: value for key, value in row.changes.items() if key != "enabled"}
        usual = desk.house.current.configured.setup.agents.get(name)
        if on != (usual is None or usual.enabled):
            changes["enabled"] = on
        crew.put(tx, Override(name, changes, row.own, row.created_by))
        _tell(tx, desk, "agent.status_changed", name, f"{name} was {words} by {_who(desk)}")
        return _switched(tx, desk, wanted, on)

    return act


def _switched(tx: Tx, desk: Desk, agent: Agent, on: bool) -> Reply:
    name, working = agent.name, crew.open_sessions(tx, agent.name)
    if not on:
        goes_on = f" {cards.counted(working, 'session')} of it may end." if working else ""
        return Reply(
            f"{name} is disabled: it starts nothing new.{goes_on}",
            buttons=(Button("Enable", f"agent enable {name}"),),
        )
    health = desk.house.missing(replace(agent, enabled=True))
    return Reply(
        f"{name} is enabled.",
        (f"It can't work yet: {health}",) if health else (),
        buttons=(Button("Disable", f"agent disable {name}"),),
    )


def _enable(desk: Desk, name: str, fields: Mapping[str, Any]) -> Act:
    return _switch(desk, name, fields, on=True)


def _disable(desk: Desk, name: str, fields: Mapping[str, Any]) -> Act:
    return _switch(desk, name, fields, on=False)


# -- take back -----------------------------------------------------------------------------


def _reset(desk: Desk, name: str, fields: Mapping[str, Any]) -> Act:
    _no_options(fields, "reset", name)

    def act(tx: Tx) -> Reply:
        row, in_file = crew.find(tx, name), name in desk.house.current.configured.setup.agents
        if row is None:
            desk.house.agent(name)
            return Reply(f"{name} is as in the file already.")
        if row.own and not in_file:
            raise Refused(
                f"{name} is in no file, it was registered by chat: /agent remove {name} takes "
                "it away."
            )
        crew.forget(tx, name)
        _tell(tx, desk, "settings.changed", name, f"{name} is as in the file again")
        return Reply(
            f"{name} is as in the file again.",
            (f"Forgotten: {', '.join(sorted(row.changes))}.",),
            buttons=(Button("Show it", f"agent {name}"),),
        )

    return act


def _remove(desk: Desk, name: str, fields: Mapping[str, Any]) -> Act:
    _no_options(fields, "remove", name)

    def act(tx: Tx) -> Reply:
        row = crew.find(tx, name)
        if row is None or not row.own or name in desk.house.current.configured.setup.agents:
            desk.house.agent(name)
            raise Refused(
                f"{name} is of the files: take it out of agents.toml and /reload, "
                f"or /agent disable {name}."
            )
        if working := crew.open_sessions(tx, name):
            raise Refused(
                f"{name} has {cards.counted(working, 'session')} not over yet: /agent disable "
                f"{name} lets it end its work, /kill {name} ends it now."
            )
        crew.forget(tx, name)
        _tell(tx, desk, "settings.changed", name, f"{name} was removed by {_who(desk)}")
        again = crewfields.line(name, row.changes)
        return Reply(f"{name} is gone.", (f"To have it back: /{again}",))

    return act


def _no_options(fields: Mapping[str, Any], verb: str, name: str) -> None:
    if fields:
        raise Unclear(f"/agent {verb} takes only a name; to change it: /agent set {name[:64]} …")


def _tell(tx: Tx, desk: Desk, kind: str, name: str, words: str) -> None:
    tx.emit(Event(kind, words, agent=name, payload={"by": desk.actor.key}))


def _who(desk: Desk) -> str:
    return desk.actor.name or desk.actor.key


_VERBS: dict[str, Callable[[Desk, str, Mapping[str, Any]], Act]] = {
    "add": _add,
    "set": _set,
    "enable": _enable,
    "disable": _disable,
    "reset": _reset,
    "remove": _remove,
}
_LIST = (Option("role", help="director, worker or steward"), Option("page", help="which ten"))
TABLE: list[tuple[Form, object]] = [
    (Form("agents", "/agents", Role.VIEWER, "the crew", _LIST), crewlooks.agents),
    (Form("agent", _USAGE, Role.VIEWER, "one agent, or change it", crewfields.OPTIONS), agent),
]

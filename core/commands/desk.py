"""What a command has at hand while it is carried out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from core.commands.grammar import Command, Form
from core.commands.incoming import File
from core.commands.reply import Reply
from core.house import House
from core.model import Actor, Agent, Place, Role
from core.store.database import Tx

Act = Callable[[Tx], Reply]
"""What changes something: run in one transaction, together with its intake and its reply."""


@dataclass(frozen=True, slots=True)
class Desk:
    """`hash` is what a pressed button was bound to; `fetch` gets an attached file's bytes."""

    house: House
    actor: Actor
    role: Role
    place: Place
    able: Mapping[str, Agent]
    hash: str | None = None
    files: tuple[File, ...] = ()
    fetch: Callable[[File], Awaitable[bytes]] | None = None


Handler = Callable[[Desk, Command], Awaitable[Reply | Act]]


@dataclass(frozen=True, slots=True)
class Verb:
    """A form and what it does: looking gives a Reply, changing an Act."""

    form: Form
    handler: Handler

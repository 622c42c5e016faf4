"""What a face hands in, before anything has been decided about it."""

from __future__ import annotations

from dataclasses import dataclass

from core.model import Actor, Place


@dataclass(frozen=True, slots=True)
class File:
    """A file that came with a message; `ref` is the platform's own id to fetch it by."""

    name: str
    size: int
    ref: str


@dataclass(frozen=True, slots=True)
class Incoming:
    """One thing somebody did: typed `text`, or pressed the button with key `button`.

    `genuine` is False where the platform hides who acted (an anonymous admin, a channel):
    such an actor is nobody. `callback` is what the platform wants acknowledged.
    """

    actor: Actor
    place: Place
    text: str = ""
    button: str | None = None
    files: tuple[File, ...] = ()
    callback: str | None = None
    genuine: bool = True
    edited: bool = False

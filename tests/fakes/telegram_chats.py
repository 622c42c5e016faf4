"""What people have on their screens: chats, messages, buttons, and how each changed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Shown:
    """One message as a person sees it now. `versions` are the texts that it had before."""

    id: int
    chat: int
    sender: int
    text: str
    buttons: list[list[dict[str, Any]]] = field(default_factory=list)
    html: str = ""
    reply_to: int | None = None
    silent: bool = False
    force_reply: str | None = None
    document: str | None = None
    content: str | None = None
    versions: list[str] = field(default_factory=list)
    edits: int = 0

    @property
    def labels(self) -> list[str]:
        return [button["text"] for row in self.buttons for button in row]

    def data_of(self, label: str) -> str | None:
        for row in self.buttons:
            for button in row:
                if button["text"] == label:
                    return str(button["callback_data"])
        return None

    def plain(self) -> dict[str, Any]:
        return {**asdict(self), "labels": self.labels}


class Chats:
    """The messages of all chats, oldest first."""

    def __init__(self) -> None:
        self._chats: dict[int, list[Shown]] = {}
        self._next = 1

    def add(self, chat: int, sender: int, text: str, **more: Any) -> Shown:
        message = Shown(id=self._next, chat=chat, sender=sender, text=text, **more)
        self._next += 1
        self._chats.setdefault(chat, []).append(message)
        return message

    def screen(self, chat: int) -> list[Shown]:
        return list(self._chats.get(chat, ()))

    def find(self, chat: int, message: int) -> Shown | None:
        return next((m for m in self._chats.get(chat, ()) if m.id == message), None)

    def delete(self, chat: int, message: int) -> None:
        self._chats[chat] = [m for m in self._chats.get(chat, ()) if m.id != message]

    def with_button(self, chat: int, label: str) -> Shown | None:
        """The newest message in the chat that carries a button of that label."""
        found = (m for m in reversed(self._chats.get(chat, ())) if m.data_of(label))
        return next(found, None)

    def everything(self) -> list[Shown]:
        return [message for messages in self._chats.values() for message in messages]

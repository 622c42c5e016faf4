"""The ONE interpreter: who may, what is meant, do it, answer — in one transaction.

What a platform delivered is executed exactly once: the act, the mark on its intake and the
answer owed are one transaction, so a crash leaves either all of it or none.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import structlog

from core.commands.desk import Desk, Verb
from core.commands.grammar import Command, parse
from core.commands.incoming import File, Incoming
from core.commands.reply import Reply
from core.commands.verbs import FORMS, GREET, VERBS
from core.errors import BullpenError, Refused, Unclear
from core.house import House
from core.killpoints import kill_point
from core.model import Agent, GateKind, Role
from core.store import buttons, deliveries, gates, intake, people
from core.store.database import Tx

log = structlog.get_logger(__name__)
Fetch = Callable[[File], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Said:
    """A line, and what it was bound to where it came from a button."""

    line: str
    key: str | None = None
    hash: str | None = None


class Interpreter:
    """`able` tells which agents work here now."""

    def __init__(self, house: House, able: Callable[[], Mapping[str, Agent]]) -> None:
        self._house = house
        self._able = able

    async def execute(
        self, incoming: Incoming, intake_id: int, fetch: Fetch | None = None
    ) -> Reply | None:
        """Carry out one intake; returns the answer (owed already), None where there is none."""
        try:
            return await self._perform(incoming, intake_id, fetch)
        except BullpenError as error:
            words = str(error)
        except Exception:
            log.exception("command broke", intake=intake_id)
            words = "That went wrong inside Bullpen; nothing was changed. The log says more."
        reply = Reply(words, error=True)
        await self._house.store.write(lambda tx: self._refuse(tx, incoming, intake_id, reply))
        return reply

    async def _perform(
        self, incoming: Incoming, intake_id: int, fetch: Fetch | None
    ) -> Reply | None:
        role = await self._house.store.write(
            lambda tx: (
                people.role_of(tx, incoming.actor, self._house.people)
                if incoming.genuine
                else Role.NOBODY
            )
        )
        pairing = _pairing(incoming)
        if role is Role.NOBODY and pairing is None:
            return await self._stranger(incoming, intake_id)
        said = await self._house.store.write(lambda tx: self._said(tx, incoming))
        if said is None:
            await self._house.store.write(lambda tx: intake.settle(tx, intake_id))
            return None
        verb, command = _read(said.line, pairing)
        if role < verb.form.role:
            raise Refused(
                f"/{verb.form.name} is for people with the role "
                f"{verb.form.role.name.lower()}; yours is {role.name.lower()}."
            )
        desk = Desk(
            self._house,
            incoming.actor,
            role,
            incoming.place,
            self._able(),
            said.hash,
            incoming.files,
            fetch,
        )
        answer = await verb.handler(desk, command)

        def act(tx: Tx) -> Reply:
            if said.key is not None and not buttons.use(tx, said.key, incoming.actor):
                raise Refused(_used_words(tx, said.key))
            reply = answer if isinstance(answer, Reply) else answer(tx)
            intake.settle(tx, intake_id)
            # A press is acknowledged on the spot, and the card's edit says the rest.
            if not (incoming.button is not None and reply.silent):
                self._owe(tx, incoming, reply)
            return reply

        reply = await self._house.store.write(act)
        if verb.form.name == "approve":
            kill_point("after-approval")
        return reply

    # -- what is meant ---------------------------------------------------------------------

    def _said(self, tx: Tx, incoming: Incoming) -> Said | None:
        """The line behind a press, an answer to a message, or plain words."""
        if incoming.button is not None:
            return self._pressed(tx, incoming)
        text = incoming.text.strip()
        if not text or incoming.edited:
            return None
        if text.startswith("/") or incoming.place.platform == "console":
            return Said(text)
        answered = self._answered(tx, incoming, text)
        if answered is not None:
            return Said(answered)
        if not incoming.place.private:
            return None
        raise Unclear("Commands begin with a slash: /help lists them.")

    def _pressed(self, tx: Tx, incoming: Incoming) -> Said:
        found = buttons.find(tx, incoming.button or "")
        if (
            found is None
            or found.chat != incoming.place.chat
            or (found.platform != incoming.place.platform)
        ):
            raise Refused("That button is not known here any more. /inbox shows what waits.")
        if found.message is not None and found.message != incoming.place.message:
            raise Refused("That button belongs to another message.")
        if found.expired(tx.now):
            raise Refused("That button is too old. /inbox shows what waits.")
        if found.ask is not None:
            return Said(f"\0ask {found.command}\0{found.ask}", None)
        return Said(found.command, found.key, found.hash)

    def _answered(self, tx: Tx, incoming: Incoming, text: str) -> str | None:
        """A reply to a card: to a review it rejects, to a question it answers, in a task's
        thread it speaks to the agent. No plain message ever approves."""
        place = incoming.place
        row = (
            tx.one(
                "SELECT * FROM messages WHERE platform = ? AND chat = ? AND message = ?",
                (place.platform, place.chat, place.reply_to),
            )
            if place.reply_to
            else None
        )
        if row is None:
            return None
        if row["prompt"]:
            return f"{row['prompt']} {text}"
        if row["gate_id"]:
            gate = gates.get(tx, row["gate_id"])
            if gate.kind is GateKind.BUDGET:
                raise Unclear(
                    f"Press a button of {gate.ref}, or say /approve {gate.ref} +2usd, "
                    f"/approve {gate.ref} finish or /reject {gate.ref}."
                )
            verb = "answer" if gate.kind is GateKind.QUESTION else "reject"
            return f"{verb} {gate.ref} {text}"
        return f"say {row['task_id']} {text}" if row["task_id"] else None

    # -- how it ends -----------------------------------------------------------------------

    def _owe(self, tx: Tx, incoming: Incoming, reply: Reply) -> None:
        place = incoming.place
        deliveries.owe(
            tx,
            platform=place.platform,
            chat=place.chat,
            reply=reply,
            urgency=deliveries.ANSWERS,
            silent=True,
            reply_to=place.message,
        )

    def _refuse(self, tx: Tx, incoming: Incoming, intake_id: int, reply: Reply) -> None:
        intake.settle(tx, intake_id, refused=reply.title)
        self._owe(tx, incoming, reply)

    async def _stranger(self, incoming: Incoming, intake_id: int) -> Reply | None:
        """No answer beyond their own id, in private; nothing is done."""
        reply = Reply(
            f"You are not on the list. Your id is {incoming.actor.user_id}: give it "
            "to an admin, or pair with /start CODE."
        )
        speak = incoming.genuine and incoming.place.private and incoming.button is None
        await self._house.store.write(
            lambda tx: (
                self._refuse(tx, incoming, intake_id, reply)
                if speak
                else intake.settle(tx, intake_id, refused="not on the list")
            )
        )
        return replace(reply, error=True) if speak or incoming.button else None


def _pairing(incoming: Incoming) -> str | None:
    """The line, when it is /start alone or with a code (a task's number is another verb)."""
    match = re.fullmatch(r"/start(?:@\w+)?(?:\s+(\S+))?", incoming.text.strip())
    if match is None or re.fullmatch(r"(?i)(task-?)?#?\d{1,6}", match[1] or ""):
        return None
    chats = incoming.place.private and incoming.place.platform != "console"
    return incoming.text.strip() if incoming.genuine and chats else None


def _read(line: str, pairing: str | None) -> tuple[Verb, Command]:
    if line.startswith("\0ask "):
        return _ask(line.removeprefix("\0ask "))
    if pairing is not None:
        words = pairing.split()[1:]
        return GREET, Command("start", tuple(words))
    command = parse(line, FORMS)
    return VERBS[command.name], command


def _ask(said: str) -> tuple[Verb, Command]:
    """A button that needs words first: prompt for them; the reply completes the command."""
    prompt, _, question = said.partition("\0")
    verb = VERBS[prompt.split()[0]]

    async def handler(desk: Desk, command: Command) -> Reply:
        return Reply(
            question,
            (f"Reply to this message. It becomes: /{prompt} …",),
            extra={"force_reply": question, "prompt": prompt},
        )

    return Verb(verb.form, handler), Command(verb.form.name)


def _used_words(tx: Tx, key: str) -> str:
    found = buttons.find(tx, key)
    if found is not None and found.gate_id is not None:
        gate = gates.get(tx, found.gate_id)
        if gate.answered_at is not None:
            return gates.answered_words(gate)
    return "That button was pressed before."

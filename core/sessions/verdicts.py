"""What an attempt's end means: its driver's judgement, or the limit that ended it, in words."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from core.cards.words import duration
from core.house import House
from core.longlines import fitting
from core.model import AgentEvent, Session
from core.ports import Driver, Exit, Verdict
from core.store import logs

TAIL = 15
"""Lines of what an agent said last that a failure is told with."""
_SIZES = ((1 << 30, "GB"), (1 << 20, "MB"))
_NO_CONVERSATION = "No conversation found"
_WORDS = {
    "wall_time": "it ran longer than it may",
    "idle_time": "it said nothing for longer than it may",
    "memory": "it used more memory than it may",
    "cpu_time": "it used more CPU time than it may",
    "processes": "it ran more processes at once than it may",
    "output_limit": "it wrote more output than it may",
}


async def last_words(house: House, session_id: str) -> list[str]:
    """The last lines that it said, redacted while they are whole: more of them than are kept,
    since a secret may begin above."""
    most = 4 * TAIL
    said = await house.store.logs.write(lambda tx: logs.tail(tx, session_id, most, own=True))
    whole = await asyncio.to_thread(house.redact, "\n".join(said))
    return fitting(whole).splitlines()[-TAIL:]


def judged(
    house: House,
    session: Session,
    driver: Driver,
    last: AgentEvent | None,
    end: Exit,
    tail: Sequence[str] = (),
) -> Verdict:
    """A result that is there stands, whatever ended the process after it; of a place that shares
    no folder, only if the work has come home."""
    verdict = _typed(end, tail) if session.interactive else driver.verdict(last, end)
    home = house.sandboxes[session.sandbox].shares_folder
    if end.reason == "gone" and not (verdict.ok and home):
        why = f": {end.error}" if end.error else ""
        return Verdict(False, f"its process is gone without a trace of an end (lost){why}")
    if verdict.ok or end.reason not in _WORDS:
        return verdict
    return Verdict(False, limit_words(house, session, end.reason), verdict.summary)


def _typed(end: Exit, tail: Sequence[str]) -> Verdict:
    """At a terminal nobody gives a result: that it ended by itself is one. That its conversation
    is lost is the last that it says."""
    if end.reason is None and end.status == 0:
        return Verdict(True)
    how = f"signal {end.signal}" if end.signal else f"exit status {end.status}"
    lost = bool(tail) and tail[-1].startswith(_NO_CONVERSATION)
    return Verdict(False, end.error or end.reason or f"it ended with {how}", lost=lost)


def limit_words(house: House, session: Session, reason: str) -> str:
    """Which limit ended it, with its figure where that is still configured."""
    figure = _figure(house, session, reason)
    return f"stopped: {_WORDS[reason]}" + (f" ({figure})" if figure else "")


def _figure(house: House, session: Session, reason: str) -> str | None:
    agent, policy = house.agents.get(session.agent), house.policy
    if agent is None:
        return None
    own = agent.limits
    if reason == "memory":
        return _size(own.memory)
    if reason == "output_limit":
        return _size(own.output or policy.output_limit)
    if reason == "processes":
        return str(own.processes) if own.processes else None
    times = {
        "wall_time": own.wall_time or policy.wall_time,
        "idle_time": own.idle_time,
        "cpu_time": own.cpu_time,
    }
    seconds = times[reason]
    return duration(round(seconds * 1000)) if seconds else None


def _size(size: int | None) -> str | None:
    if size is None:
        return None
    for unit, name in _SIZES:
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} bytes"

"""Accounts at their provider's usage limit: their agents rest until it is over."""

from __future__ import annotations

from dataclasses import replace

from core import holding
from core.days import clock
from core.house import House
from core.model import AgentEvent, Event, Session, Severity, Task
from core.planning.budgets import rests_until
from core.store import budgets, limits, sessions, tasks
from core.store.database import Tx
from core.store.limits import Limit

_PROVIDERS = {"claude": "Claude", "codex": "Codex"}
LONGEST_NAMED = 32 * 86_400_000
"""Ms from now that a provider's own time is believed: a little more than the longest month."""
_SAME = 120_000
"""ms by which two tellings of one reset may differ: one to the second, one to the minute."""


def standing(tx: Tx) -> dict[str, int]:
    """Account → when it is tried again, ms since the epoch."""
    return {limit.account: limit.until for limit in limits.standing(tx)}


def account_of(session: Session) -> str:
    """Whose usage limit the session shares."""
    return session.account or session.agent


# -- reached ---------------------------------------------------------------------------------


def reached(tx: Tx, house: House, session: Session, event: AgentEvent) -> None:
    """An agent was told that its account is at its limit: the account rests, and the task."""
    account = account_of(session)
    old = limits.find(tx, account)
    if session.held_for == "limit" and old is not None and old.lifted_at is None and old.known:
        return  # it rests until then: one agent must not move that on and on
    new = _rest(tx, house, account, old, _named(event, tx.now))
    if old is None or old.lifted_at is not None or old.until != new.until:
        limits.put(tx, new)
        _tell(tx, session, new)
    holding.try_to_hold(tx, house, tasks.get(tx, session.task_id), "limit")


def _named(event: AgentEvent, now: int) -> int | None:
    """Until when, as the agent has it from its provider; None where it says no time, or one that
    no limit has: one agent must not keep all of its account at rest for years."""
    reset = int(event.data.get("reset_at") or 0)
    return reset if 0 < reset <= now + LONGEST_NAMED else None


def _rest(tx: Tx, house: House, account: str, old: Limit | None, reset: int | None) -> Limit:
    """How long from now. One that rests already goes by what is known of it; one that is at its
    limit again soon after rests longer, where nobody says until when."""
    now, policy = tx.now, house.policy
    rests = old if old is not None and old.lifted_at is None else None
    again = old if old is not None and _soon_after(old, now, policy.limit_pause) else None
    if reset is not None and reset <= now and again is not None:
        reset = None  # that time has passed, and it is at its limit all the same
    if rests is not None and (reset is None or reset <= rests.until + _SAME):
        return rests
    tries = again.tries + 1 if again else rests.tries if rests else 1
    until = rests_until(now, reset, policy.limit_pause, tries)
    words = clock(until, policy.timezone, now)
    return Limit(account, until, reset is not None, tries, words, rests.since if rests else now)


def _soon_after(old: Limit, now: int, pause: float) -> bool:
    return old.lifted_at is not None and now - old.lifted_at < pause * 1000


def _tell(tx: Tx, session: Session, limit: Limit) -> None:
    """One message an account, edited when the time changes."""
    who = _PROVIDERS.get(session.driver, session.agent)
    shared = limit.account if limit.account != session.agent else ""
    rest = "its agents rest" if shared else f"{session.agent} rests"
    about = f" (account {shared})" if shared else ""
    until = f"until {limit.words}" if limit.known else f"and tries again at {limit.words}"
    if shared and not limit.known:
        until = f"and try again at {limit.words}"
    words = f"{who}'s usage limit is reached{about}: {rest} {until}. Others go on."
    tx.emit(_event("limit.reached", words, Severity.WARNING, limit, session.agent))


def _event(kind: str, words: str, severity: Severity, limit: Limit, agent: str | None) -> Event:
    key = {"key": f"limit:{limit.account}", "account": limit.account, "until": limit.until}
    return Event(kind, words, severity, agent=agent, payload=key)


# -- lifted ----------------------------------------------------------------------------------


def lift_due(tx: Tx, house: House) -> int:
    """Let go what rested until now; returns how many accounts."""
    due = [limit for limit in limits.standing(tx) if limit.until <= tx.now]
    for limit in due:
        _lift(tx, house, limit, "works again")
    return len(due)


def lift(tx: Tx, house: House, account: str) -> bool:
    """Try the account again now, whatever its provider said; False when it did not rest."""
    limit = limits.find(tx, account)
    if limit is None or limit.lifted_at is not None:
        return False
    _lift(tx, house, limit, "is tried again now")
    return True


def _lift(tx: Tx, house: House, limit: Limit, how: str) -> None:
    limits.lift(tx, limit.account)
    limit = replace(limit, lifted_at=tx.now)
    words = f"The account {limit.account} {how}."
    tx.emit(_event("limit.lifted", words, Severity.WARNING, limit, None))
    for task, session_id in budgets.held_tasks(tx, "limit"):
        if account_of(sessions.get(tx, session_id)) == limit.account:
            _let_go(tx, house, task)


def _let_go(tx: Tx, house: House, task: Task) -> None:
    fresh = tasks.get(tx, task.id)
    if "limit" in holding.reasons(tx, fresh):
        holding.let_go(tx, house, fresh, "limit")

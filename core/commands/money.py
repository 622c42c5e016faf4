"""Commands about what was spent and what may be."""

from __future__ import annotations

from collections.abc import Iterable

from core.cards.budget import spoken, tokens
from core.commands.desk import Desk
from core.commands.grammar import Command, Form, Option
from core.commands.reply import Reply
from core.days import day_of
from core.errors import Unclear
from core.model import Role, run_ref
from core.planning.budgets import Amount, share
from core.views import money
from core.views.reading import Db

_USAGE = "/cost [today|week] [--agent A] [--lane L] [--run 7]"


async def cost(desk: Desk, command: Command) -> Reply:
    """What was spent today, this week and in all; by whom, for what, and how far budgets are."""
    days = _days(command.words)
    options = command.options
    if len(options) > 1:
        raise Unclear(f"One at a time: {_USAGE}")
    if "lane" in options:
        return await _lane(desk, options["lane"])
    if "run" in options:
        return await _run(desk, options["run"])
    agent = desk.house.agent(options["agent"]).name if "agent" in options else None
    now, zone = desk.house.store.now(), desk.house.policy.timezone

    def look(db: Db) -> Reply:
        seen = money.cost(db, now, zone, agent=agent, days=days)
        return _told(seen, days, agent, _budgets(db, desk, agent))

    return await desk.house.store.view(look)


def _days(words: tuple[str, ...]) -> int:
    known = {(): 7, ("week",): 7, ("today",): 1}
    if words not in known:
        raise Unclear(f"Say {_USAGE}")
    return known[words]


def _told(seen: money.Cost, days: int, agent: str | None, budgets: list[money.Used]) -> Reply:
    who = f"{agent}: " if agent else ""
    when = "today" if days == 1 else "7 days"
    lines = [
        _shares(f"By agent ({when})", seen.agents),
        _shares(f"By lane ({when})", seen.lanes),
        _shares(f"By model ({when})", seen.models),
    ]
    if seen.whole.unpriced:
        models = f": {', '.join(seen.unpriced)}" if seen.unpriced else ""
        lines.append(
            f"{tokens(seen.whole.unpriced)} without a price{models}. Add it to config/prices.toml"
        )
    lines += [_used(one) for one in budgets[:6]]
    sums = " · ".join(f"{one.name} {_amount(one)}" for one in (seen.today, seen.week, seen.whole))
    return Reply(who + sums, tuple(line for line in lines if line))


def _amount(one: money.Spent) -> str:
    return f"{one.usd:.2f} USD" + (f" ({tokens(one.tokens)})" if one.tokens else "")


def _shares(title: str, found: Iterable[money.Spent]) -> str:
    parts = [
        f"{one.name} {one.usd:.2f} USD" if one.usd else f"{one.name} {tokens(one.tokens)}"
        for one in found
    ]
    return f"{title}: {' · '.join(parts)}" if parts else ""


def _used(one: money.Used) -> str:
    part = share(one.tokens, one.usd, one.limit)
    return f"Budget of {one.name}: {spoken(one.tokens, one.usd, one.limit)} ({part:.0%})"


def _budgets(db: Db, desk: Desk, agent: str | None) -> list[money.Used]:
    """Those of today, of the agents, of open runs and of tasks under way."""
    house = desk.house
    today = day_of(house.store.now(), house.policy.timezone)
    day = Amount(house.policy.day_tokens, house.policy.day_usd)
    found = [] if day.none or agent else [money.used(db, "everybody today", "day", today, day)]
    for name, one in sorted(house.agents.items()):
        limit = Amount(one.budget_tokens, one.budget_usd)
        if not limit.none and agent in (None, name):
            found.append(money.used(db, f"{name} today", "agent", f"{name} {today}", limit))
    return found if agent else [*found, *money.used_by_work(db)]


async def _lane(desk: Desk, lane: str) -> Reply:
    spent = await desk.house.store.view(lambda db: money.lane_cost(db, lane))
    return Reply(f"Lane {lane[:60]}: {_amount(spent)} for {spent.name}")


async def _run(desk: Desk, word: str) -> Reply:
    digits = word.lower().removeprefix("run").strip("- ")
    found = (
        await desk.house.store.read("SELECT * FROM runs WHERE id = ?", (int(digits),))
        if digits.isdecimal() and len(digits) < 10
        else []
    )
    if not found:
        raise Unclear(f"No run `{word[:20]}`. /runs lists them.")
    run = found[0]
    tasks = await desk.house.store.view(lambda db: money.dearest(db, run["id"]))
    limit = Amount(run["budget_tokens"], run["budget_usd"])
    used = await desk.house.store.view(
        lambda db: money.used(db, run_ref(run["id"]), "run", str(run["id"]), limit)
    )
    sums = money.Spent("", run["cost_usd"], run["tokens"])
    lines = ["" if limit.none else _used(used), *(f"{one.name} {_amount(one)}" for one in tasks)]
    return Reply(f"{run_ref(run['id'])}: {_amount(sums)}", tuple(line for line in lines if line))


TABLE: list[tuple[Form, object]] = [
    (
        Form(
            "cost",
            _USAGE,
            Role.VIEWER,
            "what was spent, and what may be",
            (
                Option("agent", help="an agent's name"),
                Option("lane", help="what it belongs to, a word"),
                Option("run", help="a run's number"),
            ),
        ),
        cost,
    ),
]

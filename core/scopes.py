"""Which budgets there are: of a task, a run, an agent's day and everybody's day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core.days import day_of
from core.house import House
from core.model import Task, run_ref
from core.planning.budgets import Amount
from core.store import tasks
from core.store.budgets import Spent
from core.store.database import Tx


@dataclass(frozen=True, slots=True)
class Scope:
    """A budget: what it is of, and how much it is without what answers granted."""

    name: str
    key: str
    limit: Amount
    title: str
    task_id: int | None = None
    run_id: int | None = None
    agent: str | None = None

    def now(self, spent: Spent) -> Amount:
        """The limit with what was granted on top."""
        return self.limit.plus(spent.more_tokens, spent.more_usd)

    def holds(self, task: Task, agent: str) -> bool:
        """Whether that work counts against it."""
        return {
            "task": task.id == self.task_id,
            "run": task.run_id is not None and task.run_id == self.run_id,
            "agent": agent == self.agent,
            "day": True,
        }[self.name]


def scopes(tx: Tx, house: House, task: Task, agent: str) -> Iterator[Scope]:
    """All that this work of that agent counts against today, limited or not."""
    yield _of_task(task)
    if task.run_id is not None:
        yield _of_run(tx, task.run_id)
    today = day_of(tx.now, house.policy.timezone)
    yield _of_agent(house, agent, today)
    yield _of_day(house, today)


def named(tx: Tx, house: House, scope: str, key: str) -> Scope | None:
    """A budget by its name; None when what it is of is gone."""
    if scope == "task":
        task = tasks.find(tx, int(key))
        return None if task is None else _of_task(task)
    if scope == "run":
        return _of_run(tx, int(key))
    agent, _, day = key.rpartition(" ")
    return _of_agent(house, agent, day) if scope == "agent" else _of_day(house, key)


def _of_task(task: Task) -> Scope:
    limit = Amount(task.budget_tokens, task.budget_usd)
    return Scope("task", str(task.id), limit, f"Budget of {task.ref}", task_id=task.id)


def _of_run(tx: Tx, run_id: int) -> Scope:
    row = tx.one("SELECT budget_tokens, budget_usd FROM runs WHERE id = ?", (run_id,))
    limit = Amount(row["budget_tokens"], row["budget_usd"]) if row else Amount()
    return Scope("run", str(run_id), limit, f"Budget of {run_ref(run_id)}", run_id=run_id)


def _of_agent(house: House, name: str, day: str) -> Scope:
    agent = house.agents.get(name)
    limit = Amount(agent.budget_tokens, agent.budget_usd) if agent else Amount()
    return Scope("agent", f"{name} {day}", limit, f"Budget of {name} for {day}", agent=name)


def _of_day(house: House, day: str) -> Scope:
    limit = Amount(house.policy.day_tokens, house.policy.day_usd)
    return Scope("day", day, limit, f"Everybody's budget for {day}")

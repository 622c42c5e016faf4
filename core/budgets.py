"""What was spent, what may be, and what stops when it is used up."""

from __future__ import annotations

from core.house import House
from core.model import Task
from core.store.database import Tx


def stopped(tx: Tx, house: House, task: Task, agent: str) -> str | None:
    """Why this task must not be claimed by that agent now; None: it may."""
    for row in tx.all("SELECT scope, key FROM budgets INDEXED BY budgets_stopped WHERE stopped = 1"):
        scope, key = row["scope"], row["key"]
        if scope == "run" and key == str(task.run_id):
            return "the budget of its run is used up"
        if scope == "agent" and key.partition(" ")[0] == agent:
            return f"the budget of {agent} is used up"
        if scope == "day":
            return "the day's budget is used up"
    return None


def roll_over(tx: Tx, house: House) -> int:
    """Let go what an earlier day's budget held."""
    return 0

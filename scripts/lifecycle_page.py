"""Makes docs/lifecycle.md from the tables in core/lifecycle.py; with `-` it is printed."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path

from core.lifecycle import MOVES, TABLE, Act, Cell, Move, Situation

PAGE = Path(__file__).resolve().parents[1] / "docs" / "lifecycle.md"
NOUNS = {
    "TaskState": "Task",
    "SessionState": "Session",
    "IterationState": "Iteration",
    "GateState": "Gate",
    "WorktreeState": "Worktree",
    "RunState": "Run",
    "WaveState": "Wave",
    "IntakeState": "Intake",
}
HEAD = """\
# What may follow what

Made from `core/lifecycle.py` by `scripts/lifecycle_page.py`; a test holds the two together.
Change the tables there, then run `.venv/bin/python scripts/lifecycle_page.py`.
"""
SECOND = """\
## What can happen to a task

For every situation a task can be in, everything that can happen to it: the next states of its
nouns together, or the words of the refusal. An empty field stays as it is. "By the workflow":
the route of the step's outcome decides. "Next iteration": the agent gets a further prompt.
"""


def page() -> str:
    parts = [HEAD, "## The moves of each noun\n"]
    parts += [_moves(NOUNS[noun.__name__], moves) for noun, moves in MOVES.items()]
    parts += [SECOND, *(_situation(situation) for situation in Situation)]
    return "\n".join(parts)


def _moves(noun: str, moves: dict[StrEnum, frozenset[StrEnum]]) -> str:
    rows = [(f"`{old}`", _states(old, new)) for old, new in moves.items()]
    return f"### {noun}\n\n" + _table(("from", "to"), rows)


def _states(old: StrEnum, new: frozenset[StrEnum]) -> str:
    """In the order in which the noun names its states, so that the page is always the same."""
    return " ".join(f"`{state}`" for state in type(old) if state in new) or "(the end)"


def _situation(situation: Situation) -> str:
    cells = TABLE[situation]
    allowed = [(act.value, *_next(cell)) for act in Act if isinstance(cell := cells[act], Move)]
    refused = [
        f"- {act.value}: {_words(cells[act], situation)}"
        for act in Act
        if isinstance(cells[act], str)
    ]
    table = _table(("act", "task", "session", "iteration", "gate", "worktree", "then"), allowed)
    return (
        f"### A task that is {situation.value}\n\n{table}\nRefused:\n\n" + "\n".join(refused) + "\n"
    )


def _next(move: Move) -> tuple[str, ...]:
    states = (move.task, move.session, move.iteration, move.gate, move.worktree)
    then = ["by the workflow"] * move.by_workflow + ["next iteration"] * move.next_iteration
    then += ["it is gone"] * move.gone
    if not any(states) and not then:
        then = ["stays as it is"]
    return (*(f"`{state}`" if state else "" for state in states), ", ".join(then))


def _words(cell: Cell, situation: Situation) -> str:
    return str(cell).format(ref="TASK-042", id=42, situation=situation.value)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


if __name__ == "__main__":
    if sys.argv[1:] == ["-"]:
        sys.stdout.write(page())
    else:
        PAGE.write_text(page(), encoding="utf-8")

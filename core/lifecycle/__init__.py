"""What may follow what: one table of moves a noun, and one of state × act for all together.

Nothing else decides it. `MOVES` holds each noun's allowed changes of state. `TABLE` holds,
for every situation a task can be in and everything that can happen to it, the next states
of task, session, iteration, gate and worktree together, or the words of the refusal.
`docs/lifecycle.md` is generated from this file.
"""

from core.lifecycle.moves import MOVES, check, words
from core.lifecycle.table import (
    NOTHING_TO,
    STAY,
    TABLE,
    Act,
    Cell,
    Move,
    Situation,
    decide,
    situation,
)

__all__ = [
    "MOVES",
    "NOTHING_TO",
    "STAY",
    "TABLE",
    "Act",
    "Cell",
    "Move",
    "Situation",
    "check",
    "decide",
    "situation",
    "words",
]

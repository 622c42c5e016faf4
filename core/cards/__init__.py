"""The messages that tell of a task, in one voice for every face.

First line: what and which task. Then the one fact that matters. Buttons: what one would do
next, the likeliest first, at most four.
"""

from core.cards.gate import gate_card
from core.cards.run import (
    holds,
    progress,
    run_buttons,
    run_card,
    run_done_card,
    run_key,
    run_paused_card,
    wave_card,
)
from core.cards.task import done_card, event_card, failure_buttons, failure_card, task_card
from core.cards.words import TOLD, apart, changed, counted, duration

__all__ = [
    "TOLD",
    "apart",
    "changed",
    "counted",
    "done_card",
    "duration",
    "event_card",
    "failure_buttons",
    "failure_card",
    "gate_card",
    "holds",
    "progress",
    "run_buttons",
    "run_card",
    "run_done_card",
    "run_key",
    "run_paused_card",
    "task_card",
    "wave_card",
]

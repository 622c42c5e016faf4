"""What an agent may say to Bullpen: one family of acts behind HTTP, MCP and the file.

Each is one transaction, row and event together, for the attempt that speaks: what comes from
one that has ended, or that a newer one has replaced, is refused. All of it is untrusted.
"""

from core.reports.asking import permission, question
from core.reports.outcomes import not_taken, outcome, take_file
from core.reports.speaking import Over, TooOften
from core.reports.work import artifact, progress

__all__ = [
    "Over",
    "TooOften",
    "artifact",
    "not_taken",
    "outcome",
    "permission",
    "progress",
    "question",
    "take_file",
]

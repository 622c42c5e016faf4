"""Pure decisions: values in, values out."""

from core.planning.matching import Match, Needs, best, match, room, runs_only_given_commands

__all__ = ["Match", "Needs", "best", "match", "room", "runs_only_given_commands"]

"""Pure decisions: values in, values out."""

from core.planning.matching import (
    Match,
    Needs,
    Record,
    best,
    lacking,
    match,
    only_thinks,
    ranked,
    runs_only_given_commands,
)

__all__ = [
    "Match",
    "Needs",
    "Record",
    "best",
    "lacking",
    "match",
    "only_thinks",
    "ranked",
    "runs_only_given_commands",
]

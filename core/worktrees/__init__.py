"""Bare repositories of our own, workspaces as clones, and taking in what agents commit.

Git never runs here with a configuration that an agent could write: not in a workspace, and
not on behalf of one. `reading` finds a workspace's commit without git, `scripts` are what
runs inside the session's sandbox, and everything else happens in the bare repositories.
"""

from core.worktrees.folder import remove_workspace
from core.worktrees.losing import would_lose
from core.worktrees.repositories import Repositories
from core.worktrees.scripts import (
    Inspection,
    inspection_script,
    leftover_script,
    may_remove,
    read_inspection,
    read_survey,
    survey_script,
)

__all__ = [
    "Inspection",
    "Repositories",
    "inspection_script",
    "leftover_script",
    "may_remove",
    "read_inspection",
    "read_survey",
    "remove_workspace",
    "survey_script",
    "would_lose",
]

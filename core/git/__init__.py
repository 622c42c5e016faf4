"""Git as Bullpen runs it: clean environment, own bare repositories, untrusted commits.

`runner` starts processes, `source` looks at the repositories people configured, `changes`
turns two commits into what a person reads and approves.
"""

from core.git.changes import EMPTY, change, diff, diffstat, files, patch_id
from core.git.runner import GitFailed, git, guarded, stream
from core.git.source import default_branch, is_local, mirror, reach, shown

__all__ = [
    "EMPTY",
    "GitFailed",
    "change",
    "default_branch",
    "diff",
    "diffstat",
    "files",
    "git",
    "guarded",
    "is_local",
    "mirror",
    "patch_id",
    "reach",
    "shown",
    "stream",
]

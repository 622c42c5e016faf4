"""A forge that answers from a script: for whatever tests what comes before or after a merge."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from core.errors import Broken
from core.model import Repo
from core.ports import Merged, MergeOrder


class ScriptedForge:
    """Merges everything, unless `script` holds another answer for the next order.

    A `Broken` in the script is raised. What was merged once is merged again with the same
    commit. An order for another commit than `head` is answered with what would be merged.
    `orders` are all that came."""

    name = "scripted"

    def __init__(self, head: str = "a" * 40) -> None:
        self.head = head
        self.script: deque[Merged | Broken] = deque()
        self.orders: list[MergeOrder] = []
        self._merged: dict[str, Merged] = {}

    async def sync(self, repo: Repo, git_dir: Path) -> str:
        return self.head

    async def merge(self, order: MergeOrder) -> Merged:
        self.orders.append(order)
        if order.head in self._merged:
            return self._merged[order.head]
        answer = self.script.popleft() if self.script else self._take(order)
        if isinstance(answer, Broken):
            raise answer
        return answer

    def _take(self, order: MergeOrder) -> Merged:
        commit = f"{len(self._merged) + 1:040x}"
        if order.onto not in (None, self.head):
            return Merged("moved", commit, order.patch_id, base=self.head)
        self.head = commit
        self._merged[order.head] = Merged("pr.merged", commit, order.patch_id)
        return self._merged[order.head]

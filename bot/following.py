"""Follows what agents say on the terminal: each line as it comes, until the task has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from bot import logs
from core import views
from core.commands.logs import line_words
from core.commands.reply import Reply
from core.live import Live
from core.longlines import fitting
from core.redaction import Redactor
from core.store.database import Store
from core.views import LogLine

log = logs.get(__name__)

PASSED_OVER = "… more than can be shown: /logs {task} -n 1000 has it"


class Following:
    """`heed` each reply that the terminal shows: it may ask for that, or for its end. `show` is
    given whole lines, redacted as one text."""

    def __init__(
        self, store: Store, live: Live, redactor: Redactor, show: Callable[[str], None]
    ) -> None:
        self._store = store
        self._live = live
        self._redactor = redactor
        self._show = show
        self._followed: dict[int, _Followed] = {}

    def heed(self, reply: Reply) -> None:
        if begin := reply.extra.get("follow"):
            task = int(begin)
            if task not in self._followed:
                after = int(reply.extra.get("after", "0"))
                followed = _Followed(self, task, reply.extra.get("who", begin), after)
                self._followed[task] = followed
                followed.start()
        elif (end := reply.extra.get("unfollow")) and (told := self._followed.pop(int(end), None)):
            told.stop()

    async def close(self) -> None:
        """What has been said by now is shown; then no more."""
        for followed in list(self._followed.values()):
            await followed.finish()
        self._followed.clear()


class _Followed:
    def __init__(self, of: Following, task: int, who: str, after: int) -> None:
        self._of = of
        self._task = task
        self._who = who
        self._after = after
        self._stream = of._redactor.stream()
        self._at: dict[str, int] = {}
        self._said = views.Said()
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._running = asyncio.create_task(self._run(), name=f"follow {self._task}")

    def stop(self) -> None:
        if self._running is not None:
            self._running.cancel()

    async def _run(self) -> None:
        try:
            async for heard in self._of._live.subscribe(task=self._task, after=self._after):
                if heard.lagged is not None:
                    self._say(self._stream.close())
                    self._of._show(f"  {self._who} │ {PASSED_OVER.format(task=self._task)}")
                self._hear(heard.lines)
            self._say(self._stream.close())
            self._of._show(f"  {self._who} │ (it has ended)")
        except Exception:  # nobody waits for this task: its trouble must be seen somewhere
            log.exception("following broke", task=self._task)
        finally:
            self._of._followed.pop(self._task, None)

    async def finish(self) -> None:
        self.stop()
        if self._running is not None:
            await asyncio.wait({self._running})
        if self._at:
            look = partial(views.heard_after, positions=self._at, n=1000)
            self._hear(await self._of._store.view(look))
        self._say(self._stream.close())

    def _hear(self, lines: tuple[LogLine, ...]) -> None:
        for line in lines:
            self._at[line.session_id] = line.seq
        anew = [line for line in lines if self._said.anew(line, line.text)]
        redact = self._of._redactor.text
        said = [line_words(line, redact) for line in anew if line.text.strip()]
        if said:
            self._say(self._stream.feed("\n".join(said) + "\n"))

    def _say(self, text: str) -> None:
        if text.strip():
            whole = fitting(text.rstrip("\n")).split("\n")
            self._of._show("\n".join(f"  {self._who} │ {line}" for line in whole))

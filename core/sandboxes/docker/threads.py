"""Threads that wait for an engine's answer, and hold up no end of the bot while they do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_Job = tuple[Future[Any], Callable[[], Any]]


class Threads(Executor):
    """At most so many, made as they are needed. A ThreadPoolExecutor's are waited for when the
    process ends, as long as an engine that hangs is waited for."""

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name, self._made = most, name, 0
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._making = threading.Lock()

    def submit(self, act: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        self._jobs.put((future, partial(act, *args, **kwargs)))
        with self._making:
            if not self._idle.acquire(blocking=False) and self._made < self._most:
                self._made += 1
                work = (self._jobs, self._idle)
                threading.Thread(target=_work, args=work, name=self._name, daemon=True).start()
        return future

    def __del__(self) -> None:
        for _ in range(self._made):
            self._jobs.put(None)


def _work(jobs: SimpleQueue[_Job | None], idle: threading.Semaphore) -> None:
    while (job := jobs.get()) is not None:
        future, act = job
        if not future.set_running_or_notify_cancel():
            idle.release()
            continue
        try:
            result = act()
        except BaseException as error:
            idle.release()
            future.set_exception(error)
        else:
            idle.release()  # whoever hears of it finds a thread to use again
            future.set_result(result)
            del result
        del job, future, act  # what they hold is not held until the next one comes

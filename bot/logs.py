"""Bullpen's own log: JSON lines in `<data>/logs/bullpen.log`, and one line for people.

Ids that hold for a while (task, session, gate) are bound with `bound`; everything passes
redaction before it is written anywhere.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO

import structlog
from structlog.stdlib import BoundLogger, ProcessorFormatter
from structlog.types import EventDict, Processor, WrappedLogger

from core.redaction import Redactor

FILE_BYTES = 10 << 20
FILES_KEPT = 5


def configure(
    data: Path,
    redactor: Redactor,
    *,
    level: str = "INFO",
    people: TextIO | None = None,
    file_bytes: int = FILE_BYTES,
) -> Path:
    """Send logs to their file (rotating) and warnings to `people` (standard error).

    Calling it again replaces what was set before. Returns the file's path.
    """
    folder = data / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bullpen.log"
    redact = _redaction(redactor)
    file = RotatingFileHandler(path, maxBytes=file_bytes, backupCount=FILES_KEPT, encoding="utf-8")
    file.setFormatter(_formatter(redact, structlog.processors.JSONRenderer()))
    human = logging.StreamHandler(people or sys.stderr)
    human.setLevel(logging.WARNING)
    human.setFormatter(_formatter(redact, _one_line))
    _use(level, file, human)
    return path


def get(name: str) -> BoundLogger:
    """The logger of a room, for instance `bot.outbox`."""
    logger: BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def bound(**ids: Any) -> AbstractContextManager[None]:
    """Within it every line carries these ids: `with bound(task="TASK-042"): …`."""
    return structlog.contextvars.bound_contextvars(**ids)


def _use(level: str, *handlers: logging.Handler) -> None:
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if getattr(handler, "of_bullpen", False)]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        handler.of_bullpen = True  # type: ignore[attr-defined]
        root.addHandler(handler)
    root.setLevel(level)
    structlog.configure(
        processors=[*_SHARED, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=BoundLogger,
        cache_logger_on_first_use=False,
    )


_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
)


def _formatter(redact: Processor, render: Processor) -> ProcessorFormatter:
    return ProcessorFormatter(
        foreign_pre_chain=list(_SHARED),
        processors=[
            ProcessorFormatter.remove_processors_meta,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.format_exc_info,
            redact,
            render,
        ],
    )


def _redaction(redactor: Redactor) -> Processor:
    def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {key: _cleaned(redactor, value) for key, value in event.items()}

    return redact


def _cleaned(redactor: Redactor, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _cleaned(redactor, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_cleaned(redactor, inner) for inner in value]
    return redactor.text(str(value))


def _one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """`bullpen: warning: words (task=TASK-042)`; the traceback stays in the file."""
    hidden = {"event", "level", "logger", "at", "exception", "stack"}
    ids = " ".join(f"{key}={value}" for key, value in event.items() if key not in hidden)
    words = " ".join(str(event.get("event", "")).split())
    line = f"bullpen: {event.get('level', 'warning')}: {words}"
    return f"{line} ({ids})" if ids else line

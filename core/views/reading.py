"""The door to both files for those who only look."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from core.store.database import read_connection

T = TypeVar("T")


class Rows(Protocol):
    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Db(Protocol):
    """A read-only connection to `bullpen.db` with `logs.db` attached as schema `logs`."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Rows: ...

    def close(self) -> None: ...


def open_reader(folder: Path) -> Db:
    """A connection of one's own to the data folder; the caller closes it."""
    return read_connection(folder)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list: `total` counts all that fit, `offset` where this part begins."""

    items: tuple[T, ...]
    total: int
    offset: int = 0

    @property
    def more(self) -> int:
        """How many come after this part."""
        return max(0, self.total - self.offset - len(self.items))


def one(db: Db, sql: str, params: Sequence[Any] = ()) -> Any:
    """The first column of the first row, or None."""
    row = db.execute(sql, params).fetchone()
    return None if row is None else row[0]


def packed(values: Iterable[Any]) -> str:
    """Values as one parameter, for `IN (SELECT value FROM json_each(?))`."""
    return json.dumps(list(values))

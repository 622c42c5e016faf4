"""What a container on another machine is given before it starts: room that can be written, the
carrier with its freight, and credentials whose place nothing else could fill. All of it lies in
volumes without a name, which go with the container."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import Broken
from core.ports import Order
from core.sandboxes.afar import CARRIER, Afar
from core.sandboxes.carried import Carried, rooms
from core.sandboxes.docker.building import CARGO

if TYPE_CHECKING:
    from docker import APIClient


def tops(order: Order, shown: Sequence[Carried]) -> list[str]:
    """The folders at which volumes are shown, none of them within another: above the rooms and the
    files that are `shown`, as what lies in a volume can belong to everybody, and it itself not.
    Raises Broken."""
    wanted = {room.parent for room in rooms(order)}
    wanted |= {one.target.parent for one in shown}
    if Path("/") in wanted:
        raise Broken("a container elsewhere can't have anything at the very top of its folders")
    found: list[Path] = [Path(CARGO)]
    for path in sorted(wanted, key=lambda path: len(path.parts)):
        if not any(path.is_relative_to(top) for top in found):
            found.append(path)
    return [str(path) for path in found]


def load(client: APIClient, name: str, order: Order, shown: Sequence[Carried]) -> None:
    """Put it all into the container, which has not started. Doing it again changes nothing."""
    for top in tops(order, shown):
        with io.BytesIO() as packed:
            with tarfile.open(fileobj=packed, mode="w") as archive:
                for entry, data in _within(Path(top), order, shown):
                    archive.addfile(entry, io.BytesIO(data))
            client.put_archive(name, top, packed.getvalue())


def _within(
    top: Path, order: Order, shown: Sequence[Carried]
) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Who works in there is alone, whatever its number: all of it may be read, and rooms may be
    written, by everybody."""
    if str(top) == CARGO:
        yield _file("carrier.py", CARRIER.read_bytes())
        yield _file("freight", Afar(order.folder).freight())
        return
    for room in rooms(order):
        if room.is_relative_to(top):
            entry = tarfile.TarInfo(str(room.relative_to(top)))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            yield entry, b""
    for one in shown:
        if one.target.is_relative_to(top):
            yield _file(str(one.target.relative_to(top)), one.data)


def _file(name: str, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), 0o644
    return entry, data

"""What an agent must not see, wherever it lies: also inside of what it is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from core.sandboxes.programs import SYSTEM, inside


def laid(
    shown: Sequence[Path],
    hidden: Sequence[Path],
    private: Sequence[Path],
    readable: Sequence[Path],
) -> list[str]:
    """Bubblewrap's words for all of them, so that of two places the inner one counts: of what is
    `hidden` nothing but `readable` is seen, of what is `private` also what programs need
    (`shown`). `over` makes what covers a place unwritable, once all is laid."""
    hidden = [path for path in hidden if path.is_dir()]
    words: list[tuple[int, int, tuple[str, ...]]] = []
    for path in shown:
        if not inside(path, hidden):
            words.append((len(path.parts), 0, ("--ro-bind-try", str(path), str(path))))
    for path in {*hidden, *_masked((*SYSTEM, *shown, *readable), (*hidden, *private))}:
        words.append((len(path.parts), 1, _mask(path)))
    for path in readable:
        words.append((len(path.parts), 2, ("--ro-bind-try", str(path), str(path))))
    return [word for _, _, some in sorted(words) for word in some]


def over(laid: Sequence[str]) -> list[str]:
    """What makes the covers unwritable, once all is laid."""
    covers = [laid[at + 1] for at, word in enumerate(laid) if word == "--tmpfs"]
    return [word for path in covers for word in ("--remount-ro", path)]


def folders(private: Sequence[Path]) -> list[Path]:
    """Those of them that can be hidden whole: not one in which the system's own programs lie."""
    return [path for path in private if path.is_dir() and _apart(path)]


def _apart(folder: Path) -> bool:
    real = folder.resolve()
    return (
        len(real.parts) > 2
        and real != Path("/usr/local")
        and not any(real in (path, *path.parents) for path in SYSTEM)
    )


def _mask(path: Path) -> tuple[str, ...]:
    if path.is_dir():
        return ("--tmpfs", str(path))
    return ("--ro-bind", "/dev/null", str(path))


def _masked(shown: Sequence[Path], private: Sequence[Path]) -> Iterator[Path]:
    """Where in there they would be seen: a place may be shown by a link that leads to it."""
    wanted = [path.resolve() for path in private if path.is_file() or path in folders((path,))]
    for place in shown:
        if place in SYSTEM and place.is_symlink():
            continue
        real = place.resolve()
        yield from (place / path.relative_to(real) for path in wanted if real in path.parents)

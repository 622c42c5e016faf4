"""Where programs are installed: what must be shown of the machine so that they can start.

A program on the PATH is often a link into an installation somewhere else (nvm, pyenv, pipx, a
node_modules tree), with an interpreter in a third place. The way is followed here, and what
lies on it is named. Private places of the home are never on that list, nor what holds them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

SYSTEM = tuple(
    map(
        Path, ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store")
    )
)
"""Shown to everybody, read-only."""

_PRIVATE = """
.ssh .gnupg .aws .azure .kube .docker .config .claude .codex .gemini .netrc .git-credentials
.gitconfig .npmrc .pypirc .cargo/credentials .cargo/credentials.toml .local/share .local/state
.mozilla .password-store .pki .thunderbird .bash_history .zsh_history .psql_history .env
"""
_BINARIES = frozenset({"bin", "sbin", "shims", "libexec", "Scripts", ".bin"})
_MARKS = ("lib", "lib64", "libexec", "versions", "installs", "tools", "pyvenv.cfg")
"""What tells an installation from any other folder that holds a `bin`."""
_MOST = 500
"""Entries of a folder on the PATH that are looked at."""


def needed(
    argv: Sequence[str],
    path: str,
    workspace: Path,
    home: Path,
    own: Sequence[Path] = (),
    private: Sequence[Path] = (),
) -> list[Path]:
    """The folders and files outside of the system's that this command line, and the programs on
    that PATH, need to start; none inside another. What lies in the workspace, or in `own`, an
    agent may have put there: nothing that it names is shown. A folder that is `private` is never
    shown whole, and what of the system's lies in one is not known."""
    folders = [Path(word) for word in path.split(":") if word.startswith("/")]
    finder = _Finder(path, home, (workspace, *own), private)
    for folder in folders:
        if inside(folder, (workspace, *own)) or finder.known(folder) or not folder.is_dir():
            continue
        finder.add(_installation(folder / "x", home, private))
        for link in _links(folder):
            finder.follow(link)
    if "/" in argv[0]:
        finder.follow(workspace / argv[0])
    elif found := shutil.which(argv[0], path=path):
        finder.follow(Path(found))
    return _outermost(finder.found, private)


class _Finder:
    def __init__(self, path: str, home: Path, own: Sequence[Path], private: Sequence[Path]) -> None:
        self._path, self._home, self._own, self._private = path, home, own, private
        self._seen: set[Path] = set()
        self.found: set[Path] = set()

    def known(self, place: Path) -> bool:
        """Whether it is seen anyway."""
        return inside(place, SYSTEM) and not inside(place, self._private)

    def add(self, place: Path | None) -> None:
        if place is not None and not self.known(place):
            self.found.add(place)

    def follow(self, program: Path) -> None:
        """The program, the links on the way to it, and what runs it."""
        program = Path(os.path.normpath(program))
        if program in self._seen or inside(program, self._own) or not program.is_file():
            return
        self._seen.add(program)
        place = _installation(program, self._home, self._private)
        self.add(place)
        if program.is_symlink():
            self.follow(program.parent / program.readlink())
        real = program.resolve()
        if real != program:
            self.follow(real)
        if place is not None:
            self._virtual(place)
        self._interpreter(real)

    def _virtual(self, place: Path) -> None:
        """A virtual environment's own Python."""
        try:
            lines = (place / "pyvenv.cfg").read_text("utf-8", "replace").splitlines()
        except OSError:
            return
        for line in lines:
            key, _, value = line.partition("=")
            if key.strip() == "home":
                self.follow(Path(value.strip()) / "python3")

    def _interpreter(self, program: Path) -> None:
        try:
            with program.open("rb") as file:
                first = file.read(256).partition(b"\n")[0]
        except OSError:
            return
        if not first.startswith(b"#!"):
            return
        words = os.fsdecode(first[2:]).split()
        for number, word in enumerate(words):
            if number == 0 and word.startswith("/"):
                self.follow(Path(word))
            elif Path(words[0]).name == "env" and not word.startswith("-") and "=" not in word:
                if found := shutil.which(word, path=self._path):
                    self.follow(Path(found))
                return


def _installation(program: Path, home: Path, private: Sequence[Path]) -> Path | None:
    """What to show for a program: its installation, else its folder, else itself."""
    parts = program.parts
    if "node_modules" in parts:
        return Path(*parts[: parts.index("node_modules") + 1])
    folder = program.parent
    whole = folder.parent
    marked = any((whole / mark).exists() for mark in _MARKS)
    if folder.name in _BINARIES and marked and _may_show(whole, home, private):
        return whole
    if _may_show(folder, home, private):
        return folder
    return program if program.is_file() else None


def _may_show(folder: Path, home: Path, private: Sequence[Path]) -> bool:
    """Whether a whole folder may be shown: no home, nothing that holds private places of it."""
    places = (home, *(home / name for name in _PRIVATE.split()))
    real = folder.resolve()
    return real not in [path.resolve() for path in private] and not any(
        len(path.parts) < 3 or inside(place, (path,)) for path in (folder, real) for place in places
    )


def _links(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number < _MOST and entry.is_symlink():
                    yield Path(entry.path)
    except OSError:
        return


def inside(path: Path, folders: Sequence[Path]) -> bool:
    return any(path == folder or folder in path.parents for folder in folders)


def _outermost(places: set[Path], private: Sequence[Path]) -> list[Path]:
    def seen(place: Path, above: Path) -> bool:
        between = [path for path in private if inside(place, (path,)) and above in path.parents]
        return above in place.parents and not between

    return sorted(place for place in places if not any(seen(place, above) for above in places))

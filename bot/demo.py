"""A small repository to try Bullpen on, made on the first start when none is configured."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from core.errors import Broken
from core.git import git

_WHO = {
    "GIT_AUTHOR_NAME": "Bullpen",
    "GIT_AUTHOR_EMAIL": "bullpen@localhost",
    "GIT_AUTHOR_DATE": "2025-01-01T12:00:00+00:00",
    "GIT_COMMITTER_NAME": "Bullpen",
    "GIT_COMMITTER_EMAIL": "bullpen@localhost",
    "GIT_COMMITTER_DATE": "2025-01-01T12:00:00+00:00",
}

_FILES = {
    "README.md": """\
# Larder

A shopping list for the kitchen, small enough to read in a minute.

    python -m unittest

`larder/stock.py` knows what is on the shelf, `larder/shopping.py` writes the list.

Missing: nobody says hello. A `greeting.txt` would be nice, and so would amounts with a
unit (two litres of milk are still just "2").
""",
    "larder/__init__.py": '"""A shopping list for the kitchen."""\n',
    "larder/stock.py": '''\
"""What is on the shelf."""


class Shelf:
    """Counts things by name. A name that was never put there counts zero."""

    def __init__(self):
        self._counts = {}

    def put(self, name, count=1):
        """Put some more of a thing on the shelf."""
        if count < 1:
            raise ValueError("put at least one")
        self._counts[name] = self.count(name) + count

    def take(self, name, count=1):
        """Take some of a thing; there must be enough."""
        if count > self.count(name):
            raise ValueError(f"there is not enough {name}")
        self._counts[name] = self.count(name) - count

    def count(self, name):
        """How many there are."""
        return self._counts.get(name, 0)
''',
    "larder/shopping.py": '''\
"""What has to be bought."""


def shopping_list(shelf, wanted):
    """Names and counts to buy, in order of name, so that the shelf holds what is wanted."""
    missing = {name: count - shelf.count(name) for name, count in wanted.items()}
    return [(name, count) for name, count in sorted(missing.items()) if count > 0]


def as_text(items):
    """The list as one line for each thing."""
    return "\\n".join(f"{count} {name}" for name, count in items)
''',
    "tests/__init__.py": "",
    "tests/test_stock.py": """\
import unittest

from larder.stock import Shelf


class ShelfTest(unittest.TestCase):
    def test_an_empty_shelf_holds_nothing(self):
        self.assertEqual(Shelf().count("milk"), 0)

    def test_what_was_put_can_be_taken(self):
        shelf = Shelf()
        shelf.put("milk", 3)
        shelf.take("milk")
        self.assertEqual(shelf.count("milk"), 2)

    def test_more_than_there_is_cannot_be_taken(self):
        with self.assertRaises(ValueError):
            Shelf().take("milk")


if __name__ == "__main__":
    unittest.main()
""",
    "tests/test_shopping.py": """\
import unittest

from larder.shopping import as_text, shopping_list
from larder.stock import Shelf


class ShoppingTest(unittest.TestCase):
    def test_only_what_is_missing_is_bought(self):
        shelf = Shelf()
        shelf.put("eggs", 6)
        self.assertEqual(shopping_list(shelf, {"milk": 2, "eggs": 6}), [("milk", 2)])

    def test_the_list_is_ordered_by_name(self):
        self.assertEqual(as_text(shopping_list(Shelf(), {"milk": 2, "eggs": 1})), "1 eggs\\n2 milk")


if __name__ == "__main__":
    unittest.main()
""",
    ".gitignore": "__pycache__/\n*.pyc\n",
}


async def make_demo_repository(path: Path) -> None:
    """Make a small Python project with tests at `path`, one commit on `main`; what is there
    already stays as it is. Its check command is `python3 -m unittest`. Raises Broken."""
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.new")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        for name, text in _FILES.items():
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            (draft / name).write_text(text, encoding="utf-8")
        await git("init", "--quiet", "--template=", "--initial-branch=main", cwd=draft)
        await git("add", "--all", cwd=draft)
        await git("commit", "--quiet", "-m", "A shopping list for the kitchen", cwd=draft, env=_WHO)
        os.rename(draft, path)
    except OSError as error:
        raise Broken(f"The demo repository {path} can't be made: {error.strerror}.") from error

"""What of a diff stands on a card: the change, not git's headers, and nothing hidden."""

from __future__ import annotations

from core.cards import words

DIFF = """\
diff --git a/old.py b/new.py
similarity index 90%
rename from old.py
rename to new.py
index 1111111..2222222 100644
--- a/old.py
+++ b/new.py
@@ -1,2 +1,2 @@ def f():
--- a comment that looks like a header
+++ another
diff --git a/logo.png b/logo.png
new file mode 100644
index 0000000..3333333
Binary files /dev/null and b/logo.png differ
"""


def test_headers_go_and_what_only_looks_like_one_stays() -> None:
    assert words.glance(DIFF) == [
        "▸ new.py",
        "@@ -1,2 +1,2 @@ def f():",
        "--- a comment that looks like a header",
        "+++ another",
        "▸ logo.png",
        "Binary files /dev/null and b/logo.png differ",
    ]


def test_nothing_is_nothing() -> None:
    assert words.glance("") == []

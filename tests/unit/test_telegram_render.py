"""Replies as Telegram takes them: within its limits, its markup always whole."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.telegram import render
from core.commands.reply import Attachment, Button, Reply, Table
from tests.fakes.telegram_html import parse, units

TEXT = st.one_of(
    st.text(max_size=80),
    st.sampled_from(["<b>", "</pre>", "&amp;", "a & b < c", "@everyone", "\x1b[2J", ""]),
    st.text(st.characters(codec=None), max_size=20),
    st.integers(1, 6000).map(lambda n: "word. " * (n // 6) or "x"),
    st.integers(1, 5000).map(lambda n: "🎉<" * (n // 3) or "x"),
)
BUTTON = st.builds(
    Button, label=TEXT, command=TEXT, key=st.one_of(st.none(), st.just("k" * 24))
)
REPLY = st.builds(
    Reply,
    title=TEXT,
    lines=st.lists(TEXT, max_size=4).map(tuple),
    fields=st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple),
    table=st.one_of(
        st.none(),
        st.lists(st.tuples(TEXT, TEXT), max_size=4).map(
            lambda rows: Table(("a", "b"), tuple(rows))
        ),
    ),
    notes=st.lists(TEXT, max_size=3).map(tuple),
    code=st.one_of(st.none(), TEXT),
    attachments=st.lists(st.builds(Attachment, TEXT, TEXT), max_size=2).map(tuple),
    buttons=st.lists(BUTTON, max_size=5).map(tuple),
    error=st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(REPLY)
def test_every_piece_is_taken_and_reads_as_meant(reply: Reply) -> None:
    first, *rest = render.pieces(reply)
    if not render.is_file(first):
        shown = parse(render.to_html(first))
        assert 1 <= units(shown) <= render.TEXT_LIMIT
        assert shown == render.to_text(first).strip()
        assert render.pieces(first) == [first], "cutting twice cuts once"
    for piece in rest:
        assert render.is_file(piece) and units(render.caption(piece)) <= render.CAPTION_LIMIT


@settings(max_examples=60, deadline=None)
@given(st.lists(BUTTON, max_size=12))
def test_keyboards_keep_the_order_and_the_limits(buttons: list[Button]) -> None:
    rows = render.keyboard(buttons)
    assert [key.data for row in rows for key in row] == [b.key for b in buttons if b.key]
    for row in rows:
        assert 1 <= len(row) <= 2
        assert all(key.label and units(key.label) <= 64 for key in row)


def test_a_card_looks_like_one() -> None:
    reply = Reply(
        "TASK-042 · Speed <up>", ("Ready & waiting.",), (("Priority", "high"),), code="a < b"
    )
    assert render.to_html(reply) == (
        "<b>TASK-042 · Speed &lt;up&gt;</b>\nReady &amp; waiting.\nPriority: high\n"
        "<pre>a &lt; b</pre>"
    )


def test_nobody_is_mentioned_outside_of_code() -> None:
    reply = render.fitted(Reply("@all look", ("mail me@home.org",), code="@decorator"))
    shown = render.to_text(reply)
    assert "@all" not in shown and "@home" not in shown and "@decorator" in shown


def test_what_is_too_long_follows_whole_as_a_file() -> None:
    diff = "".join(f"+line {n}\n" for n in range(2000))
    main, whole = render.pieces(Reply("TASK-001", ("Look.",), code=diff))
    assert main.lines == ("Look.", "Shortened; the whole text is in the file.")
    assert main.code and diff.startswith(main.code.removesuffix(" …"))
    assert whole.attachments[0].name == "whole.txt" and diff in whole.attachments[0].text + "\n"


def test_attachments_follow_one_by_one() -> None:
    files = (Attachment("a.diff", "x"), Attachment("b.log", "y"))
    main, *rest = render.pieces(Reply("Look", attachments=files))
    assert not main.attachments and [piece.attachments[0] for piece in rest] == list(files)


def test_a_button_without_a_key_can_be_typed() -> None:
    assert render.to_text(Reply("x", buttons=(Button("Show", "show 1"),))) == "x\nShow: /show 1"


def test_short_labels_stand_side_by_side_and_long_ones_alone() -> None:
    labels = ["Once", "This session", "Always, for pip in shop…", "Deny…"]
    rows = render.keyboard([Button(label, "c", key="k") for label in labels])
    assert [[key.label for key in row] for row in rows] == [labels[:2], labels[2:3], labels[3:]]


def test_toasts_and_placeholders_fit() -> None:
    assert units(render.toast("long words " * 50)) <= 200
    asked = render.placeholder(Reply("Why?", extra={"force_reply": "the reason " * 20}))
    assert asked is not None and units(asked) <= 64
    assert render.placeholder(Reply("Why?")) is None

"""What tokens cost: by the exact name, by a date behind it, and never by guess."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.load import PACKAGED, load
from config.prices import load_prices
from core import prices
from core.errors import Unclear
from core.prices import Price

DAY = date(2026, 11, 21)
SMALL, LARGE = Price("m-1", 1.0, 5.0, DAY, 0.1), Price("m-1-5", 2.0, 10.0, DAY)
KNOWN = {"m-1": SMALL, "m-1-5": LARGE}
counts = st.integers(0, 10**9)


def test_a_million_tokens_cost_what_the_list_says() -> None:
    assert SMALL.of(1_000_000, 0) == pytest.approx(1.0)
    assert SMALL.of(0, 1_000_000) == pytest.approx(5.0)
    assert SMALL.of(1_000_000, 0, cached=1_000_000) == pytest.approx(0.1)
    assert LARGE.of(1_000_000, 0, cached=1_000_000) == pytest.approx(2.0), "as other input"


@given(counts, counts, counts)
def test_a_cost_is_never_below_nothing_nor_above_the_full_price(
        tokens_in: int, tokens_out: int, cached: int) -> None:
    cost = SMALL.of(tokens_in, tokens_out, cached)
    assert 0 <= cost <= SMALL.of(tokens_in, tokens_out) + 1e-9


@pytest.mark.parametrize(("model", "found"), [
    ("m-1", SMALL), ("m-1-20260101", SMALL), ("m-1-2026-01-01", SMALL), ("m-1-latest", SMALL),
    ("m-1[1m]", SMALL), ("m-1@20260101", SMALL), ("m-1-5", LARGE), ("m-1-5-20260101", LARGE),
    ("m-1-6", None), ("m-1-mini", None), ("m-10", None), ("m", None), ("", None), (None, None)])
def test_a_date_or_variant_behind_a_name_fits_a_further_version_does_not(
        model: str | None, found: Price | None) -> None:
    assert prices.find(KNOWN, model) == found


@given(st.sampled_from(["", "-20260101", "-latest", "[1m]"]), st.sampled_from([*KNOWN]))
def test_the_longest_name_wins(behind: str, name: str) -> None:
    assert prices.find(KNOWN, name + behind) == KNOWN[name]


# -- the file ------------------------------------------------------------------------------


def test_the_packaged_prices_are_dated_and_sensible() -> None:
    faults: list[str] = []
    packaged = load_prices([PACKAGED], faults)
    assert packaged and not faults
    for price in packaged.values():
        assert 0 < price.input < price.output and (price.cached or 0) < price.input
        assert date(2026, 1, 1) < price.as_of


def test_ones_own_prices_add_to_the_packaged_and_replace_by_name(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    name = next(iter(load_prices([PACKAGED], [])))
    (tmp_path / "config" / "prices.toml").write_text(
        f'[models."{name}"]\ninput = 77\noutput = 78\nas_of = 2026-11-21\n'
        '[models."my-own"]\ninput = 1\noutput = 2\nas_of = 2026-11-21\n')
    found = load(environ={}, folder=tmp_path).prices
    assert found[name].input == 77 and found["my-own"].output == 2
    assert len(found) == len(load_prices([PACKAGED], [])) + 1


@pytest.mark.parametrize(("text", "words"), [
    ('[models."x"]\ninput = -1\noutput = 2\nas_of = 2026-11-21\n', "models.x.input"),
    ('[models."x"]\ninput = 1\noutput = 2\n', "models.x.as_of"),
    ('[models."x"]\ninput = 1\noutput = 2\nas_of = 2026-11-21\nper = "day"\n', "per"),
    ("[prices]\n", 'unknown key; write [models."NAME"]'),
    ("models = 3\n", 'must be tables; write [models."NAME"]')])
def test_a_faulty_file_is_refused_with_its_key(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "prices.toml").write_text(text)
    with pytest.raises(Unclear, match=r"prices\.toml") as refused:
        load(environ={}, folder=tmp_path)
    assert words in str(refused.value)

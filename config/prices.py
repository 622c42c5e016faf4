"""Prices by model: `prices.toml`, the packaged one first, the user's own over it by name."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path

from pydantic import NonNegativeFloat, ValidationError

from config.faults import explain
from config.settings import Section
from config.sources import Layers, read_toml
from core.prices import Price


class PriceTable(Section):
    """One `[models."NAME"]`: US dollars for a million tokens."""

    input: NonNegativeFloat
    output: NonNegativeFloat
    cached: NonNegativeFloat | None = None
    as_of: date


def load_prices(folders: Iterable[Path], faults: list[str]) -> dict[str, Price]:
    """`prices.toml` of each folder in turn, later ones over earlier ones."""
    found: dict[str, Price] = {}
    for folder in folders:
        file = folder / "prices.toml"
        if file.is_file():
            found.update(_of_file(file, faults))
    return found


def _of_file(file: Path, faults: list[str]) -> dict[str, Price]:
    content = read_toml(file, faults)
    faults += [
        f'{file.name}: {key}: unknown key; write [models."NAME"]'
        for key in content
        if key != "models"
    ]
    tables = content.get("models", {})
    if not isinstance(tables, dict):
        faults.append(f'{file.name}: models: must be tables; write [models."NAME"]')
        return {}
    found = {}
    for name, table in tables.items():
        layers = Layers()
        layers.lay(("models", name), table, file.name)
        try:
            price = PriceTable.model_validate(table)
        except ValidationError as error:
            faults += explain(error, layers, PriceTable, ("models", name))
            continue
        found[name] = Price(name, price.input, price.output, price.as_of, price.cached)
    return found

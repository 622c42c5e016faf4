"""Settings that can also be changed by hand while Bullpen runs: `/set queue.max_concurrent 2`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from config.faults import explain, unknown
from config.settings import Settings
from config.sources import Layers
from core.errors import Unclear

SECTIONS = ("queue", "budget", "limits", "retry", "qa")
ALONE = ("default_workflow", "timezone")


def settable(settings: Settings) -> dict[str, object]:
    """Every key that can be changed by hand, with its value."""
    found: dict[str, object] = {
        f"{section}.{key}": value
        for section in SECTIONS
        for key, value in getattr(settings, section).model_dump().items()
    }
    return found | {key: getattr(settings, key) for key in ALONE}


def changed(settings: Settings, changes: Mapping[str, object]) -> Settings:
    """The settings with these keys changed; a text is understood as the key's kind. Raises
    Unclear, a line for each fault."""
    known = settable(settings)
    strange = [key for key in changes if key not in known]
    if strange:
        raise Unclear("\n".join(unknown(key, key, known) for key in strange))
    layers = Layers()
    for key, value in {**known, **changes}.items():
        layers.lay(tuple(key.split(".")), value, "")
    values: dict[str, Any] = layers.values
    try:
        fresh = Settings.model_validate(values)
    except ValidationError as error:
        raise Unclear("\n".join(explain(error, layers))) from error
    return settings.model_copy(update={key: getattr(fresh, key) for key in (*SECTIONS, *ALONE)})

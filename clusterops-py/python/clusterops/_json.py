"""What JSON is made of, for the native module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

__all__ = ["plain"]


def plain(value: object) -> dict[str, Any]:
    """What `json.dumps` does not know: mappings of other classes."""
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    raise TypeError(f"an object of type {type(value).__name__} has no JSON")

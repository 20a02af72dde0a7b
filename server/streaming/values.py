"""Values: dataclasses that nobody changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

Kind = TypeVar("Kind")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[Kind]) -> type[Kind]:
    """A dataclass with slots that the type checker takes for frozen.

    It is not at run time: every question makes two dozen of them, every chunk three, and to make one that is
    frozen takes three times as long.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)

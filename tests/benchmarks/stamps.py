"""Chunks that say which they are and when they were sent, in text that no framing changes.

A stamp is 23 characters that need no escape in JSON, HTML or a URL: `@000012:00003456789012;` is chunk 12, sent at
that microsecond of the machine's monotonic clock, which all its processes share.

A chunk is as long as a power of two: a server that cuts long texts at one cuts no stamp.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields

LENGTH = 23
MAX_CHUNKS = 20_000
NUMBERS = [b"%06d" % number for number in range(MAX_CHUNKS + 1)]

TIMES = ("delay", "first")

Stamp = tuple[bytes, bytes]

_find = re.compile(rb"@(\d{6}):(\d{14});").findall
_find_numbers = re.compile(rb"@(\d{6}):\d{14};").findall


def clock() -> int:
    """Microseconds."""
    return time.monotonic_ns() // 1000


@dataclass(frozen=True, slots=True)
class Plan:
    """What the provider is asked for, in the name of the model: `chunks=100,delay=50`.

    `delay` is in milliseconds from chunk to chunk, `first` until the first one, `size` the characters of a chunk. The
    first `ahead` chunks come a millisecond apart. `burst`: the most that are sent in one write.
    """

    chunks: int
    delay: float = 0
    first: float = 0
    size: int = 32
    ahead: int = 0
    burst: int = 64

    @property
    def model(self) -> str:
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return ",".join(f"{name}={value:g}" for name, value in said.items())

    @classmethod
    def of(cls, model: str) -> Plan:
        """Raises ValueError for a model that is none of these."""
        said = dict(part.split("=") for part in model.split(","))
        counts = {name: int(value) for name, value in said.items() if name not in TIMES}
        return cls(**counts, **{name: float(value) for name, value in said.items() if name in TIMES})  # type: ignore[arg-type]

    @property
    def sequence(self) -> list[bytes]:
        """The numbers a reader sees: all in their order, and perhaps once more, in the whole text at the end."""
        once = NUMBERS[1 : self.chunks + 1]
        return once + once


class Scanner:
    """Finds the stamps in a stream of bytes that is cut anywhere."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def scan(self, piece: bytes) -> Sequence[Stamp]:
        return _find(self._whole(piece))

    def numbers(self, piece: bytes) -> Sequence[bytes]:
        """Without the times: in half of the time."""
        return _find_numbers(self._whole(piece))

    def _whole(self, piece: bytes) -> bytes:
        if self._rest:
            piece = self._rest + piece
        cut = piece.rfind(b"@", max(0, len(piece) - LENGTH + 1))
        self._rest = piece[cut:] if cut >= 0 else b""
        return piece

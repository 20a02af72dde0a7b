"""The server, with a sampler in it: after SIGUSR1 it notes what the main thread is doing for every millisecond of CPU
time that it uses, and at SIGUSR2 it writes what it has into the file whose name it was given. Linux only.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import ClassVar

from server.__main__ import main

CLOCK_THREAD_CPUTIME_ID = 3
SIGEV_THREAD_ID = 4
INTERVAL = 1_000_000  # nanoseconds


class Time(ctypes.Structure):
    _fields_: ClassVar[Sequence[tuple[str, type]]] = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class Interval(ctypes.Structure):
    _fields_: ClassVar[Sequence[tuple[str, type]]] = [("each", Time), ("first", Time)]


class Event(ctypes.Structure):
    """`struct sigevent`: sigevent(3type)."""

    _fields_: ClassVar[Sequence[tuple[str, type]]] = [
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("thread", ctypes.c_int),
        ("_", ctypes.c_char * 44),
    ]


class Sampler:
    def __init__(self, out: Path) -> None:
        self._out = out
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._timer = ctypes.c_void_p()
        self._stacks: Counter[tuple[tuple[str, str], ...]] = Counter()
        self._before: tuple[float, ...] = ()
        event = Event(signal=signal.SIGPROF, notify=SIGEV_THREAD_ID, thread=threading.get_native_id())
        if self._libc.timer_create(CLOCK_THREAD_CPUTIME_ID, ctypes.byref(event), ctypes.byref(self._timer)):
            raise OSError(ctypes.get_errno(), "timer_create")
        signal.signal(signal.SIGPROF, self._sample)
        signal.signal(signal.SIGUSR1, self._begin)
        signal.signal(signal.SIGUSR2, self._end)

    def _begin(self, *_: object) -> None:
        self._stacks.clear()
        self._before = used()
        self._set(INTERVAL)

    def _sample(self, _: int, frame: FrameType | None) -> None:
        stack = []
        while frame is not None:
            stack.append((frame.f_code.co_filename, frame.f_code.co_qualname))
            frame = frame.f_back
        self._stacks[tuple(stack)] += 1

    def _end(self, *_: object) -> None:
        self._set(0)
        main_thread, everything, kernel = (after - before for after, before in zip(used(), self._before, strict=True))
        told = {"main": main_thread, "all": everything, "kernel": kernel, "stacks": list(self._stacks.items())}
        part = self._out.with_suffix(".part")
        part.write_text(json.dumps(told))
        part.rename(self._out)

    def _set(self, nanoseconds: int) -> None:
        interval = Interval(Time(0, nanoseconds), Time(0, nanoseconds))
        self._libc.timer_settime(self._timer, 0, ctypes.byref(interval), None)


def used() -> tuple[float, ...]:
    """Seconds of CPU: of the main thread, of all threads, and of those in the kernel."""
    return time.thread_time(), time.process_time(), os.times().system


if __name__ == "__main__":
    sampler = Sampler(Path(sys.argv.pop(1)))
    sys.exit(main())

"""The log: one configuration, for people on a terminal and for programs elsewhere.

Modules write with the standard library's logging, and name what a program would look for in `extra`
(`message_id`); the request's id comes along by itself. Nobody logs bodies, headers or queries.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TextIO

import structlog
from structlog.types import EventDict, Processor

# What must not be read in a log, wherever it came from: our tokens and tickets, and keys by their usual looks.
SECRET = re.compile(r"(?<=ticket=)[^\s&\"']+|\bxio_[A-Za-z0-9_-]{8,}|\b(?:sk|pplx)-[A-Za-z0-9_-]{8,}|(?<=Bearer )\S+")
REDACTED = "[redacted]"


def configure(level: str, form: str, stream: TextIO | None = None) -> None:
    """`form`: `text`, `json`, or `auto`, which is text on a terminal."""
    stream = stream or sys.stderr
    text = form == "text" or (form == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_described(),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendered(text, stream.isatty())],
        )
    )
    handler.addFilter(_ours_or_serious)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("server").setLevel(level.upper())
    logging.getLogger("uvicorn").setLevel(uvicorn_level(level).upper())
    logging.getLogger("uvicorn.error").addFilter(_noise)


def uvicorn_level(level: str) -> str:
    """Its `debug` is that of the WebSocket library: all headers and frames, through uvicorn's logger."""
    return "info" if level == "debug" else level


def _described() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # As text at once, and plainly: a traceback that shows local variables shows keys.
        structlog.processors.format_exc_info,
        _without_colors,
        redact,
    ]


def _rendered(text: bool, colors: bool) -> list[Processor]:
    if text:
        return [structlog.dev.ConsoleRenderer(colors=colors)]
    return [structlog.processors.JSONRenderer()]


def redact(logger: object, method: str, event: EventDict) -> EventDict:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = SECRET.sub(REDACTED, value)
    return event


def _without_colors(logger: object, method: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)  # uvicorn's message once more
    return event


def _ours_or_serious(record: logging.LogRecord) -> bool:
    """At `debug`, libraries tell whole requests, keys and queries; and some set that level themselves, by a variable
    of the environment.
    """
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] in ("server", "uvicorn")


def _noise(record: logging.LogRecord) -> bool:
    """Streams that we cut on purpose are no error; and uvicorn tells of sockets with their query."""
    message = str(record.msg)
    return message != "ASGI callable returned without completing response." and '"WebSocket %s"' not in message

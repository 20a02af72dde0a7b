"""A route, with what /openapi.json says of it, in one place: beside the function that serves it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.responses import Response
from starlette.routing import Route

Endpoint = TypeVar("Endpoint", bound=Callable[..., Awaitable[Response]])


@dataclass(frozen=True, slots=True)
class Operation:
    """`answers`: by status, a JSON shape, or media types, or None for no body. `problems`: codes. `frames`, for a
    WebSocket: what the client may send, and what it gets.
    """

    method: str
    path: str
    summary: str
    tag: str
    body: type[BaseModel] | None = None
    body_required: bool = True
    body_type: str = "application/json"
    query: type[BaseModel] | None = None
    headers: Sequence[str] = ()
    answers: Mapping[int, Answer] = field(default_factory=dict)
    problems: Sequence[str] = ()
    frames: Frames | None = None


@dataclass(frozen=True, slots=True)
class Frames:
    client: Sequence[type[BaseModel]]
    server: Sequence[type[BaseModel]]


Answer = type[BaseModel] | Mapping[str, "type[BaseModel] | None"] | None


def operation(described: Operation) -> Callable[[Endpoint], Endpoint]:
    def mark(endpoint: Endpoint) -> Endpoint:
        endpoint.operation = described  # type: ignore[attr-defined]
        return endpoint

    return mark


def routes_of(part: object) -> list[Route]:
    """A route for every described method of `part`, in the order they stand there."""
    found: list[Route] = []
    for name in vars(type(part)):
        endpoint: Any = getattr(part, name)
        described: Operation | None = getattr(endpoint, "operation", None)
        if described is not None:
            found.append(Route(described.path, endpoint, methods=[described.method]))
    return found


def operations(routes: Sequence[Any]) -> list[Operation]:
    found = (getattr(getattr(route, "endpoint", None), "operation", None) for route in routes)
    return [each for each in found if each is not None]

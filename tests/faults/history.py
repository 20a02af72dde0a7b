"""What happened in a run: everything that clients did and saw, and everything that was done to the server.

Times are seconds since 1970, so that they can be compared with what the server writes; it is the same machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

Outcome = Literal["ok", "fail", "unknown"]
"""`fail`: certainly not done. `unknown`: the connection broke before an answer came."""

Transport = Literal["sse", "ndjson", "poll", "websocket"]
End = Literal["open", "left", "clean", "cut", "exhausted", "refused"]
"""`left`: by the client. `exhausted`: 204. `refused`: with a problem."""

Logs = Mapping[str, Sequence[str]]
"""Events as their JSON, by session, in their order."""


@dataclass(kw_only=True)
class Ask:
    client: str
    session: str
    key: str
    question: str
    invoked: float
    finished: float = 0.0
    outcome: Outcome = "unknown"
    status: int | None = None
    code: str | None = None
    message_id: str | None = None


@dataclass(kw_only=True)
class Cancel:
    client: str
    session: str
    message_id: str
    invoked: float
    finished: float = 0.0
    outcome: Outcome = "unknown"
    code: str | None = None
    message_status: str | None = None  # as the server's answer had it


@dataclass(kw_only=True)
class Read:
    """One connection that reads. `items`: every JSON object that came, `ready` and `reset` too, as it came."""

    client: str
    transport: Transport
    session: str
    message_id: str | None = None
    after: str | None = None
    opened: float
    closed: float = 0.0
    items: list[str] = field(default_factory=list)
    end: End = "open"
    code: str | None = None
    cursor: str | None = None  # where the client would go on
    anomalies: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Life:
    """One process of the server. `terminated`: when it was asked to stop, if it was."""

    started: float
    up: float = 0.0
    terminated: float | None = None
    ended: float | None = None


@dataclass(kw_only=True)
class Truncation:
    """The end of the log was taken away between two lives: as it was before, and what is left."""

    at: float
    before: Logs
    after: Logs


@dataclass(kw_only=True)
class Trouble:
    """Something else that was done to the server or the network; for whoever reads the history."""

    at: float
    what: str


@dataclass(kw_only=True)
class Final:
    """What is there when everything is over. `requests`: of the provider, by question."""

    logs: Logs
    messages: Mapping[str, Sequence[Mapping[str, Any]]]
    requests: Mapping[str, int]


Record = Ask | Cancel | Read | Life | Truncation | Trouble | Final
KINDS = {kind.__name__: kind for kind in (Ask, Cancel, Read, Life, Truncation, Trouble, Final)}


@dataclass
class History:
    grace: float  # seconds that the server gives its answers when it is terminated
    records: list[Record] = field(default_factory=list)

    def add(self, record: Record) -> None:
        self.records.append(record)

    @property
    def asks(self) -> list[Ask]:
        return [record for record in self.records if isinstance(record, Ask)]

    @property
    def cancels(self) -> list[Cancel]:
        return [record for record in self.records if isinstance(record, Cancel)]

    @property
    def reads(self) -> list[Read]:
        return [record for record in self.records if isinstance(record, Read)]

    @property
    def lives(self) -> list[Life]:
        return [record for record in self.records if isinstance(record, Life)]

    @property
    def truncations(self) -> list[Truncation]:
        return [record for record in self.records if isinstance(record, Truncation)]

    @property
    def troubles(self) -> list[Trouble]:
        return [record for record in self.records if isinstance(record, Trouble)]

    @property
    def final(self) -> Final:
        [final] = [record for record in self.records if isinstance(record, Final)]
        return final

    def save(self, path: Path) -> None:
        lines = [json.dumps({"grace": self.grace})]
        lines += [json.dumps({"kind": type(record).__name__, **asdict(record)}) for record in self.records]
        path.write_text("\n".join(lines) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        first, *rest = (json.loads(line) for line in path.read_text().splitlines())
        history = cls(**first)
        for fields in rest:
            history.add(KINDS[fields.pop("kind")](**fields))
        return history

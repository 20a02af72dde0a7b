from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.calling import Caller
from tests.serving import ServerProcess, running


@pytest.fixture(scope="session")
def caller(server: ServerProcess) -> Iterator[Caller]:
    with Caller(server) as caller:
        yield caller


@pytest.fixture(scope="session")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A server that waits for nothing long: heartbeats, slow readers and slow answers."""
    settings = {
        "XIONIMUS_HEARTBEAT": "0.3",
        "XIONIMUS_STREAM_SEND_TIMEOUT": "1",
        "XIONIMUS_ANSWER_TIMEOUT": "1.5",
        "XIONIMUS_MAX_ANSWERS": "3",
    }
    with running(tmp_path_factory.mktemp("hasty"), **settings) as process, Caller(process) as caller:
        yield caller

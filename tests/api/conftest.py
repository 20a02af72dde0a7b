from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.calling import Caller
from tests.serving import ServerProcess


@pytest.fixture(scope="session")
def caller(server: ServerProcess) -> Iterator[Caller]:
    with Caller(server) as caller:
        yield caller

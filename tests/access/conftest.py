from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests import plain
from tests.access.people import ADA, BOB, PUBLIC, PUBLIC_HOST, TOKENS, bearer
from tests.serving import ServerProcess, running


@pytest.fixture(scope="package")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that asks for a token: Ada and Bob have one."""
    with running(tmp_path_factory.mktemp("asking"), XIONIMUS_TOKENS=TOKENS, XIONIMUS_LOG_LEVEL="debug") as server:
        yield server


@pytest.fixture(scope="package")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with a public name, and origins that may use it."""
    settings = {"XIONIMUS_ALLOWED_HOSTS": PUBLIC_HOST, "XIONIMUS_ALLOWED_ORIGINS": f"{PUBLIC},https://app.example"}
    with running(tmp_path_factory.mktemp("public"), **settings) as server:
        yield server


@pytest.fixture
def ada(asking: ServerProcess) -> Iterator[httpx.Client]:
    with plain.Client(base_url=asking.url, headers=bearer(ADA), timeout=30) as client:
        yield client


@pytest.fixture
def bob(asking: ServerProcess) -> Iterator[httpx.Client]:
    with plain.Client(base_url=asking.url, headers=bearer(BOB), timeout=30) as client:
        yield client


@pytest.fixture
def nobody(asking: ServerProcess) -> Iterator[httpx.Client]:
    with plain.Client(base_url=asking.url, timeout=30) as client:
        yield client

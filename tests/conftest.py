"""What every test may use: a real server on a free port, and the event loop that anyio's plugin runs on."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.serving import ServerProcess, running

# A machine that does something else at the moment is no failure. Long: --hypothesis-profile=long
settings.register_profile("short", deadline=None)
settings.register_profile("long", deadline=None, max_examples=10_000)
settings.load_profile("short")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}  # the loop that the server runs on


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests that do not stop it; each takes sessions of its own. None may lead it into a mistake."""
    with running(tmp_path_factory.mktemp("server")) as process:
        yield process
        assert "Traceback" not in process.log


@pytest.fixture
def session_id() -> str:
    return f"test-{uuid.uuid4().hex}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where real browsers and proxies stand on a machine of unknown load, a late one is asked again."""
    for item in items:
        if {"browser", "networks"} & set(item.path.parts):
            item.add_marker(pytest.mark.flaky(reruns=2))

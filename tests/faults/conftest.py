"""The scripted provider, and a server that asks it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.provider import ProviderProcess, providing
from tests.serving import ServerProcess, running


@pytest.fixture(scope="session")
def provider() -> Iterator[ProviderProcess]:
    with providing() as process:
        yield process


@pytest.fixture(scope="module")
def asking(provider: ProviderProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of the module's own that gets its answers from the provider, and is not patient."""
    patience = {
        "XIONIMUS_FIRST_TEXT_TIMEOUT": "3",
        "XIONIMUS_DELTA_TIMEOUT": "2.5",
        "XIONIMUS_MAX_ANSWER_CHARACTERS": "100000",
    }
    with running(tmp_path_factory.mktemp("asking"), **provider.environment, **patience) as process:
        yield process

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.storage.kept import Kept, keep


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "xionimus.db"


@pytest.fixture
async def kept(path: Path) -> AsyncIterator[Kept]:
    async with keep(path) as opened:
        yield opened

"""The page's client, which knows no browser: `node --test`, against fakes and against a real server."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.serving import ServerProcess

HERE = Path(__file__).parent


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js: https://nodejs.org, 21 or newer")
def test_the_client_keeps_its_promises(server: ServerProcess) -> None:
    tests = sorted(str(path) for path in HERE.glob("*.test.js"))
    ran = subprocess.run(
        ["node", "--test", *tests],
        env={**os.environ, "XIONIMUS_URL": server.url},
        capture_output=True,
        text=True,
        timeout=55,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr

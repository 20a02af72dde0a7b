"""A real model, through the whole server, into a reader's hands and into the file."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from tests.real_model import LlamaServer, llama_server
from tests.serving import ServerProcess, running

__all__ = ["llama_server"]

QUESTION = {"content": "The capital of France is", "provider": "llama", "max_tokens": 24, "temperature": 0}


def read_answer(server: ServerProcess) -> list[dict[str, Any]]:
    url = f"{server.url}/api/sessions/s/messages?format=ndjson"
    with httpx.stream("POST", url, json=QUESTION, timeout=60) as stream:
        return [json.loads(line) for line in stream.iter_lines() if line]


def test_a_real_model_is_streamed_token_by_token_and_kept_as_it_was_streamed(
    llama_server: LlamaServer, tmp_path: Path
) -> None:
    extra = [{"id": "llama", "base_url": llama_server.base_url, "default_model": llama_server.model}]
    with running(tmp_path, XIONIMUS_EXTRA_PROVIDERS=json.dumps(extra)) as server:
        events = read_answer(server)
    chunks = [event for event in events if event["type"] == "chunk"]
    end = events[-1]
    text = "".join(chunk["content"] for chunk in chunks)
    assert len(chunks) > 6
    assert "France" in text
    assert (end["type"], end["finish_reason"], end["full_content"]) == ("complete", "length", text)
    assert end["usage"] == {"input_tokens": 6, "output_tokens": 24, "source": "provider"}
    with closing(sqlite3.connect(tmp_path / "xionimus.db")) as file:
        kept = [row[0] for row in file.execute("SELECT content FROM messages WHERE role = 'assistant'")]
        bodies = [row[0] for row in file.execute("SELECT body FROM events WHERE type = 'chunk' ORDER BY seq")]
    assert kept == [text]
    assert "".join(json.loads(body)["content"] for body in bodies) == text

"""Numbers for Prometheus: what they count is what happened."""

from __future__ import annotations

from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.serving import ServerProcess, running


def samples(server: ServerProcess) -> dict[tuple[str, ...], float]:
    text = httpx.get(f"{server.url}/metrics").raise_for_status().text
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, *sorted(sample.labels.values())): sample.value for sample in found}


def test_an_answer_is_counted_with_its_events_and_its_first_text(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        before = samples(server)
        url = f"{server.url}/api/sessions/m/messages?wait=30"
        httpx.post(url, json={"content": "one two three", "model": "echo"}).raise_for_status()
        after = samples(server)
    assert ("xionimus_answers_ended_total", "completed", "demo", "echo") not in before
    assert after["xionimus_answers_ended_total", "completed", "demo", "echo"] == 1
    assert after["xionimus_first_text_seconds_count",] == 1
    assert 1 <= after["xionimus_events_total",] <= 3
    assert after["xionimus_visible_seconds_count",] == after["xionimus_visible_seconds_bucket", "+Inf"] >= 1
    assert after["xionimus_commits_total",] == after["xionimus_commit_jobs_count",] >= 2
    assert after["xionimus_answers",] == 0
    assert after["xionimus_loop_lag_seconds",] >= 0


def test_open_connections_are_counted_by_transport(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        httpx.post(f"{server.url}/api/sessions", json={"id": "m"}).raise_for_status()
        with httpx.stream("GET", f"{server.url}/api/sessions/m/events") as stream:
            lines = stream.iter_lines()
            next(lines)
            assert samples(server)["xionimus_readers", "sse"] == 1

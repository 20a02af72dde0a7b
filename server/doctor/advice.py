"""What follows from the findings: what people will notice, and what an operator can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from server.doctor.findings import NAMES, Finding, Verdict
from server.doctor.probes import Transport

SNIPPETS = Path(__file__).parent / "snippets"
# The programs that there are lines for, by the names they give themselves.
LINES = {"nginx": "nginx", "haproxy": "haproxy", "Apache": "apache", "Caddy": "caddy"}

WORKING = (Verdict.GOOD, Verdict.LATE, Verdict.HELD_ONE)


def meaning(findings: Mapping[Transport, Finding]) -> list[str]:
    """For people: on which rung of the ladder they will end."""
    by_rung: Sequence[tuple[Transport, str]] = (
        ("sse", "Clients stay on SSE."),
        ("ndjson", "Clients find out within 3 s that SSE does not stream, and go on by NDJSON."),
        ("poll", "Clients find out within 6 s that nothing streams, and go on by long-poll: text comes in steps."),
    )
    for rung, words in by_rung:
        if findings[rung].verdict in WORKING:
            return [words]
    return ["No way of reading works: answers cannot be seen from here."]


def advice(findings: Mapping[Transport, Finding], silences: Mapping[Transport, Finding]) -> list[str]:
    """For operators: sentences about each kind of trouble; empty if there is none."""
    verdicts = {finding.verdict for finding in findings.values()}
    streams = {transport: finding for transport, finding in findings.items() if transport != "poll"}
    said = []
    if Verdict.HELD in verdicts:
        held = [NAMES[transport] for transport, finding in streams.items() if finding.verdict is Verdict.HELD]
        said.append(
            f"Something collects whole responses ({', '.join(held)}): buffering, compression, or a scanner. "
            "Switch it off for /api/; a scanner or a TLS-inspecting proxy has to be told to leave this host alone."
        )
    if Verdict.LATE in verdicts:
        said.append("Something waits before it sends small pieces; in haproxy that is `option http-no-delay` missing.")
    if Verdict.HELD_ONE in verdicts:
        said.append(
            "Something holds the last piece back until the next one; antivirus programs do. The server sends a "
            "comment behind the last event, so half a second is lost at worst; on a WebSocket, 20 s."
        )
    if findings["websocket"].verdict is Verdict.BLOCKED:
        said.append("WebSocket is not passed on: the proxy needs the Upgrade header. Nothing else depends on it.")
    if Verdict.CUT in verdicts:
        said.append("Something ends responses early: look for limits on their duration.")
    cuts = [silences[transport] for transport in silences if silences[transport].verdict is Verdict.CUT]
    if cuts:
        said.append(
            "Something ends quiet connections: raise its timeouts (to an hour), or have the server break the silence "
            "sooner: XIONIMUS_HEARTBEAT, in seconds, at half of what is allowed. It does not help long-poll, which "
            "is quiet for 20 s at a time."
        )
    return said


def lines_for(who: Sequence[str]) -> dict[str, str]:
    """Configurations known to be right, by program: for those that stand there, or if none is known, for all."""
    wanted = [name for name in LINES if name in who] or ([] if who else list(LINES))
    return {name: (SNIPPETS / f"{LINES[name]}.conf").read_text("utf-8") for name in wanted}

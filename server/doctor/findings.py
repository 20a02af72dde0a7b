"""What probes mean, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from statistics import median

from server.doctor.probes import Probe, Transport

LATE = 0.1  # seconds
NAMES: Mapping[Transport, str] = {
    "sse": "SSE",
    "ndjson": "NDJSON",
    "poll": "long-poll",
    "websocket": "WebSocket",
}
# As proxies write themselves into Server and Via; haproxy writes nothing.
PROXIES = {
    "nginx": "nginx",
    "apache": "Apache",
    "caddy": "Caddy",
    "haproxy": "haproxy",
    "lighttpd": "lighttpd",
    "varnish": "Varnish",
    "squid": "squid",
    "tinyproxy": "tinyproxy",
    "privoxy": "privoxy",
    "mitmproxy": "mitmproxy",
    "cloudflare": "Cloudflare",
    "cloudfront": "CloudFront",
    "envoy": "Envoy",
}


class Verdict(Enum):
    """The best first."""

    GOOD = auto()
    LATE = auto()
    HELD_ONE = auto()
    HELD = auto()
    CUT = auto()
    BLOCKED = auto()


@dataclass(frozen=True)
class Finding:
    verdict: Verdict
    words: str


def judge(transport: Transport, probe: Probe) -> Finding:
    """What became of one transport's ticks."""
    if not probe.ticks:
        return Finding(Verdict.BLOCKED, f"does not get through: {probe.problem}")
    if not probe.complete:
        after = probe.ended - probe.begun
        return Finding(Verdict.CUT, f"is cut after {after:.1f} s: {probe.problem}")
    if transport == "poll":
        return Finding(Verdict.GOOD, f"works; a step takes {_ms(median(probe.delays))} more than it has to")
    arrivals = probe.ticks[-1][1] - probe.ticks[0][1]
    if arrivals < probe.asked.span / 2:
        return Finding(
            Verdict.HELD, f"is held back until the end: nothing for {probe.delays[0]:.1f} s, then everything"
        )
    if probe.held_one_back:
        return Finding(Verdict.HELD_ONE, "comes one piece behind: each is held back until the next one is sent")
    late = median(probe.delays)
    if late > LATE:
        return Finding(Verdict.LATE, f"comes piece by piece, but each {_ms(late)} late")
    return Finding(Verdict.GOOD, f"comes piece by piece, {_ms(late)} behind")


def judge_silence(probe: Probe) -> Finding:
    """What became of a transport on which nothing was sent for a while, between two ticks."""
    silence = probe.asked.interval
    if probe.complete:
        return Finding(Verdict.GOOD, f"lives through {silence:g} s of silence")
    if not probe.ticks:
        return Finding(Verdict.BLOCKED, f"does not get through: {probe.problem}")
    after = probe.ended - probe.ticks[0][1]
    return Finding(Verdict.CUT, f"is cut after {after:.0f} s of silence: {probe.problem}")


def between(headers: Mapping[str, str]) -> Sequence[str]:
    """The proxies that name themselves in an answer."""
    told = f"{headers.get('server', '')} {headers.get('via', '')} {headers.get('x-varnish', '') and 'varnish'}".lower()
    return [name for mark, name in PROXIES.items() if mark in told]


def _ms(seconds: float) -> str:
    return f"{max(0, 1000 * seconds):.0f} ms"

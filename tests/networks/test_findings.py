"""What the doctor makes of ticks, and of the names that proxies give themselves."""

from __future__ import annotations

import pytest

from server.doctor.advice import LINES, lines_for, meaning
from server.doctor.findings import Finding, Verdict, between, judge, judge_silence
from server.doctor.probes import TRANSPORTS, Asked, Probe, Transport

SENT = [number * 0.25 for number in range(8)]
GOOD = Finding(Verdict.GOOD, "")


def arrived(*delays: float, ended: float = 2.0, problem: str | None = None) -> Probe:
    return Probe(Asked(), 0.0, ended, [(sent, sent + late) for sent, late in zip(SENT, delays, strict=False)], problem)


@pytest.mark.parametrize(
    ("probe", "verdict", "words"),
    [
        (arrived(*[0.003] * 8), Verdict.GOOD, "comes piece by piece, 3 ms behind"),
        (arrived(*[-0.001] * 8), Verdict.GOOD, "comes piece by piece, 0 ms behind"),
        (arrived(0.001, *[0.2] * 7), Verdict.LATE, "comes piece by piece, but each 200 ms late"),
        (arrived(*[0.255] * 7, 0.005), Verdict.HELD_ONE, "one piece behind"),
        (arrived(*[1.8 - sent for sent in SENT]), Verdict.HELD, "held back until the end: nothing for 1.8 s"),
        (arrived(0.1, 0.1, ended=0.7, problem="it ended early"), Verdict.CUT, "is cut after 0.7 s: it ended early"),
        (arrived(problem="status 502"), Verdict.BLOCKED, "does not get through: status 502"),
    ],
)
def test_a_stream_is_judged_by_when_its_ticks_came(probe: Probe, verdict: Verdict, words: str) -> None:
    finding = judge("sse", probe)
    assert finding.verdict is verdict
    assert words in finding.words


def test_a_silence_is_judged_by_what_came_behind_it() -> None:
    asked = Asked(2, 30)
    cut = Probe(asked, 0.0, 12.0, [(0.0, 0.0)], "it ended early")
    assert judge_silence(cut).words == "is cut after 12 s of silence: it ended early"
    assert judge_silence(Probe(asked, 0.0, 30.0, [(0.0, 0.0), (30.0, 30.0)])).verdict is Verdict.GOOD


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ((), "Clients stay on SSE."),
        (("websocket",), "Clients stay on SSE."),
        (("sse",), "go on by NDJSON"),
        (("sse", "ndjson"), "go on by long-poll"),
        (TRANSPORTS, "answers cannot be seen from here"),
    ],
)
def test_people_end_on_the_first_rung_that_works(bad: tuple[Transport, ...], words: str) -> None:
    findings = {each: Finding(Verdict.HELD, "") if each in bad else GOOD for each in TRANSPORTS}
    assert words in meaning(findings)[0]


def test_the_lines_are_for_those_who_are_there_and_for_all_if_nobody_says_so() -> None:
    assert between({"server": "nginx/1.22.1", "via": "1.1 varnish (Varnish/7.1)"}) == ["nginx", "Varnish"]
    assert list(lines_for(["nginx", "Varnish"])) == ["nginx"]
    assert list(lines_for(["squid"])) == []
    assert between({}) == []
    assert list(lines_for([])) == list(LINES)

"""`xionimus doctor URL`: probe every transport, and say what was found."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from server.doctor.advice import advice, lines_for, meaning
from server.doctor.findings import NAMES, Finding, Verdict, between, judge, judge_silence
from server.doctor.probes import TRANSPORTS, Asked, Clock, Place, Transport, Unusable, probe, set_clock


def run(url: str, headers: Mapping[str, str], proxy: str | None, silence: float) -> int:
    """0 if every transport works as it should, 1 if not, 2 if nothing could be found out."""
    try:
        return asyncio.run(examine(Place(url.rstrip("/"), headers, proxy), silence))
    except Unusable as unusable:
        print(f"xionimus: {unusable}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read it has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


async def examine(place: Place, silence: float) -> int:
    """Raises Unusable."""
    clock, headers = await set_clock(place)
    who = between(headers)
    print(f"{place.url} is a Xionimus server; {' and '.join(who) or 'nothing that gives its name'} stands between.\n")
    if path := urlsplit(place.url).path:
        print(f"Its page does not work under {path}: give it a host name of its own.\n")
    findings = await judge_all(place, clock)
    _show(f"{NAMES[transport]:10} {finding.words}" for transport, finding in findings.items())
    silences = await _keep_silent(place, clock, findings, silence) if silence else {}
    _show(f"{NAMES[transport]:10} {finding.words}" for transport, finding in silences.items())
    trouble = advice(findings, silences)
    _show([*meaning(findings), *trouble])
    if trouble:
        for name, lines in lines_for(who).items():
            print(f"For {name}, known to be right:\n\n{lines}")
    return 1 if trouble else 0


async def judge_all(place: Place, clock: Clock) -> dict[Transport, Finding]:
    """Takes about 2 s, or 4 if something is bad."""
    findings = await asyncio.gather(*(_judge(place, transport, clock) for transport in TRANSPORTS))
    return dict(zip(TRANSPORTS, findings, strict=True))


async def _judge(place: Place, transport: Transport, clock: Clock) -> Finding:
    finding = judge(transport, await probe(place, transport, Asked(), clock))
    if finding.verdict is Verdict.GOOD:
        return finding
    # Bad has to be bad twice: a moment in which a machine is busy looks like a box that collects.
    again = judge(transport, await probe(place, transport, Asked(), clock))
    return min(finding, again, key=lambda each: each.verdict.value)


async def _keep_silent(
    place: Place, clock: Clock, findings: Mapping[Transport, Finding], seconds: float
) -> dict[Transport, Finding]:
    """On the transports that are worth it; where responses are collected, silence is all there is."""
    worth = [each for each in TRANSPORTS if findings[each].verdict not in (Verdict.HELD, Verdict.BLOCKED)]
    print(f"Now {seconds:g} s of silence …\n", flush=True)
    probes = await asyncio.gather(*(probe(place, each, Asked(2, seconds), clock) for each in worth))
    return {transport: judge_silence(found) for transport, found in zip(worth, probes, strict=True)}


def _show(lines: list[str] | Iterator[str]) -> None:
    print("\n".join(lines) + "\n", flush=True)

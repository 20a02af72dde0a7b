"""Behind every proxy that is installed: the whole text by some rung, by long-poll always, and nobody else's.

A short form of `python -m tests.networks`, which makes the README's table.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from server.doctor.advice import advice
from tests.networks.clients import RUNGS
from tests.networks.measure import SHORT, Outcome
from tests.networks.running import measure_all
from tests.networks.setups import SETUPS, Setup

AT_ONCE = 7

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def outcomes() -> Mapping[str, Outcome | Exception]:
    return measure_all(SETUPS, SHORT, AT_ONCE)


@pytest.fixture(params=SETUPS, ids=lambda setup: setup.name)
def outcome(request: pytest.FixtureRequest, outcomes: Mapping[str, Outcome | Exception]) -> Outcome:
    setup: Setup = request.param
    if setup.missing is not None:
        pytest.skip(setup.missing)
    found = outcomes[setup.name]
    if isinstance(found, Exception):
        raise found
    return found


def test_a_client_gets_the_whole_text_by_some_rung(outcome: Outcome) -> None:
    assert outcome.whole
    assert outcome.rung == outcome.setup.ends_on
    assert outcome.found < 3.0 * RUNGS.index(outcome.rung) + 8.0  # seconds; in quiet it is less than one more


def test_long_poll_works(outcome: Outcome) -> None:
    assert outcome.delays["poll"].whole


def test_what_streams_is_no_more_than_a_tick_late(outcome: Outcome) -> None:
    streams = outcome.delays[outcome.rung]
    assert streams.each is not None
    assert streams.each < 500


def test_the_text_survives_a_kill_of_the_proxy(outcome: Outcome) -> None:
    assert outcome.resumed


def test_an_answer_is_cancelled_through_it(outcome: Outcome) -> None:
    assert outcome.cancelled


def test_the_doctor_says_what_happens_to_a_client(outcome: Outcome) -> None:
    assert outcome.diagnosis_fits, outcome.diagnosis


def test_what_is_advised_leaves_nothing_to_advise(outcome: Outcome) -> None:
    if "as advised" in outcome.setup.name:
        assert advice(outcome.diagnosis, {}) == []


def test_nobody_sees_what_is_not_theirs(outcome: Outcome) -> None:
    assert not any(delay.foreign for delay in outcome.delays.values())
    assert not outcome.stale

"""All set-ups measured, a few at a time."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.networks.measure import Form, Outcome, measure
from tests.networks.setups import Setup, free_ports, proxying
from tests.serving import ServerProcess, running

PACE = "0.1"  # seconds between two words of the answers


def measure_all(setups: Sequence[Setup], form: Form, at_once: int) -> dict[str, Outcome | Exception]:
    """By the set-ups' names. Those that cannot be started here are left out."""
    here = [setup for setup in setups if setup.missing is None]
    # Not pytest's folder: it belongs to its user alone, and some proxies become another.
    with tempfile.TemporaryDirectory(prefix="networks-", ignore_cleanup_errors=True) as folder:
        top = Path(folder)
        top.chmod(0o755)
        (top / "server").mkdir(mode=0o700)
        with running(top / "server", XIONIMUS_DEMO_DELAY=PACE) as server:
            outcomes = asyncio.run(_measure(here, top, server, form, at_once))
            # A busy machine looks like a slow network: what is not as expected is measured once more, alone.
            again = [setup for setup in here if not _as_expected(setup, outcomes[setup.name])]
            outcomes |= asyncio.run(_measure(again, top / "again", server, form, 1))
    return outcomes


def _as_expected(setup: Setup, outcome: Outcome | Exception) -> bool:
    return (
        isinstance(outcome, Outcome)
        and outcome.rung == setup.ends_on
        and outcome.delays["poll"].whole
        and outcome.diagnosis_fits
    )


async def _measure(
    setups: Sequence[Setup], folder: Path, server: ServerProcess, form: Form, at_once: int
) -> dict[str, Outcome | Exception]:
    places = asyncio.Semaphore(at_once)

    async def one(setup: Setup, number: int, port: int) -> Outcome | Exception:
        async with places:
            try:
                with proxying(setup, folder / str(number), port, server.port) as proxy:
                    return await measure(setup, proxy, server.url, form)
            except Exception as error:
                return error

    ports = free_ports(len(setups))
    outcomes = await asyncio.gather(*map(one, setups, range(len(setups)), ports))
    return {setup.name: outcome for setup, outcome in zip(setups, outcomes, strict=True)}

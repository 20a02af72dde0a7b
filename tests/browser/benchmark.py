"""How the page bears 100,000 characters of Markdown with code at 200 pieces a second.

    uv run --group dev python -m tests.browser.benchmark

The numbers are of the main thread: tasks that keep it from answering a key, its time per piece at the start and at
the end of the answer, and what stays in memory. It is the real page, reading a real server's demo answer.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from playwright.sync_api import CDPSession, Page, sync_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM, LOOKS
from tests.browser.person import Person
from tests.serving import running

PIECES = 950
WATCH = """() => {
    window.tasks = [];
    new PerformanceObserver((list) => {
        for (const { startTime, duration } of list.getEntries()) window.tasks.push([startTime, duration]);
    }).observe({ type: "longtask" });
}"""


@dataclass(frozen=True)
class Sample:
    """What the main thread had done when so many pieces had come."""

    piece: int
    seconds: float


@dataclass(frozen=True)
class Result:
    characters: int
    seconds: float
    pieces_per_second: float
    tasks_over_50_ms: int
    tasks_over_100_ms: int
    longest_task_ms: float
    ms_per_piece_in_the_first_third: float
    ms_per_piece_in_the_last_third: float
    growth: float
    heap_before_mb: float
    heap_after_mb: float
    nodes_after: int


def measure(page: Page, person: Person) -> Result:
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")
    person.ask("Warm up", model="demo")
    person.see("speaks the OpenAI format", timeout=60_000)
    person.button("New chat").click()
    page.evaluate(WATCH)
    heap_before = heap(devtools)
    person.ask("Go", model="long")
    samples, seconds = watch(page, devtools)
    tasks = [duration for _, duration in page.evaluate("window.tasks")]
    first, last = cost(samples, 0, PIECES // 3), cost(samples, PIECES * 2 // 3, PIECES)
    return Result(
        characters=len(page.evaluate("document.querySelector('.markdown').textContent")),
        seconds=round(seconds, 2),
        pieces_per_second=round(PIECES / seconds, 1),
        tasks_over_50_ms=len(tasks),
        tasks_over_100_ms=len([each for each in tasks if each > 100]),
        longest_task_ms=max(tasks, default=0.0),
        ms_per_piece_in_the_first_third=round(first, 3),
        ms_per_piece_in_the_last_third=round(last, 3),
        growth=round(last / first, 2),
        heap_before_mb=round(heap_before, 1),
        heap_after_mb=round(heap(devtools), 1),
        nodes_after=page.evaluate("document.getElementsByTagName('*').length"),
    )


def watch(page: Page, devtools: CDPSession) -> tuple[list[Sample], float]:
    """Look now and then, until the answer is whole."""
    samples: list[Sample] = []
    started = metrics(devtools)["Timestamp"]
    while not samples or samples[-1].piece < PIECES:
        page.wait_for_timeout(100)
        piece = int(
            page.evaluate("(document.querySelector('.markdown')?.textContent.match(/\\b\\d{4}\\b/g) ?? []).length")
        )
        samples.append(Sample(piece, metrics(devtools)["TaskDuration"]))
        if piece and page.get_by_role("button", name="Stop").count() == 0:
            samples.append(Sample(PIECES, metrics(devtools)["TaskDuration"]))
    return samples, metrics(devtools)["Timestamp"] - started


def cost(samples: list[Sample], begin: int, end: int) -> float:
    """Milliseconds of the main thread per piece between two of them."""
    within = [sample for sample in samples if begin <= sample.piece <= end]
    return (within[-1].seconds - within[0].seconds) * 1_000 / max(1, within[-1].piece - within[0].piece)


def metrics(devtools: CDPSession) -> dict[str, float]:
    return {each["name"]: each["value"] for each in devtools.send("Performance.getMetrics")["metrics"]}


def heap(devtools: CDPSession) -> float:
    devtools.send("HeapProfiler.collectGarbage")
    return metrics(devtools)["JSHeapUsedSize"] / 1_048_576


def run() -> Result:
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), XIONIMUS_DEMO_DELAY="0.005") as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_context(**LOOKS).new_page()
        result = measure(page, Person(page, server.url))
        browser.close()
    return result


if __name__ == "__main__":
    print(json.dumps(asdict(run()), indent=2))

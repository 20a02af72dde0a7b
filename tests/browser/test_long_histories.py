"""Ten thousand messages."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.person import Person
from tests.serving import ServerProcess, running

MESSAGES = 10_000
SESSION = "long-history"


@pytest.fixture(scope="module")
def full_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running(tmp_path_factory.mktemp("full")) as server:
        url = f"{server.url}/api/sessions/{SESSION}/messages"
        httpx.post(url, json={"content": "First of all", "model": "echo"}, params={"wait": 10}).raise_for_status()
        server.stop()
        fill(server.folder / "xionimus.db")
        server.start()
        yield server


def fill(database: Path) -> None:
    """Copy the two messages that are there until there are enough."""
    with sqlite3.connect(database) as connection:
        connection.row_factory = sqlite3.Row
        question, answer = map(dict, connection.execute("SELECT * FROM messages ORDER BY key").fetchall())
        names = [name for name in question if name != "key"]
        rows, parent = [], answer["id"]
        for number in range(1, MESSAGES // 2):
            text = f"Number {number}. " + "Some words that take some room on the page. " * (number % 12 + 1)
            for model, role in ((question, "question"), (answer, "answer")):
                row = {**model, "id": f"msg_{role}_{number}", "parent_id": parent, "content": text}
                rows.append([row[name] for name in names])
                parent = row["id"]
        marks = ", ".join("?" * len(names))
        connection.executemany(f"INSERT INTO messages ({', '.join(names)}) VALUES ({marks})", rows)
    connection.close()


def test_opens_in_under_a_second_and_scrolls_up_in_place(context: BrowserContext, full_server: ServerProcess) -> None:
    person = Person(context.new_page(), full_server.url)  # the page's own files are there already
    page = person.page
    started = time.monotonic()
    person.open(SESSION)
    expect(page.get_by_text(f"Number {MESSAGES // 2 - 1}.").last).to_be_in_viewport()
    assert time.monotonic() - started < 1.0
    transcript = page.locator(".transcript")
    page.mouse.move(600, 400)
    for _ in range(40):
        page.mouse.wheel(0, -1_500)
        page.wait_for_timeout(50)
    count = person.questions.count()
    assert count > 100
    expect(page.get_by_text(f"Number {MESSAGES // 2 - 40}.").first).to_be_attached()
    page.wait_for_timeout(500)
    before = visible(person)
    page.wait_for_timeout(500)
    assert visible(person) == before
    assert transcript.evaluate("element => element.scrollTop") > 0


def test_a_reader_comes_back_to_where_they_were(context: BrowserContext, full_server: ServerProcess) -> None:
    person = Person(context.new_page(), full_server.url, SESSION)
    page = person.page
    expect(page.get_by_text(f"Number {MESSAGES // 2 - 1}.").last).to_be_in_viewport()
    page.mouse.move(600, 400)
    for _ in range(3):
        page.mouse.wheel(0, -900)
        page.wait_for_timeout(300)
    person.until_kept(f"Number {MESSAGES // 2 - 1}.")
    before = visible(person)
    page.reload()
    expect(person.answers.last).to_be_attached()
    page.wait_for_timeout(500)
    assert visible(person) == before
    person.button("New chat").click()
    expect(page.get_by_text("What would you like to know?")).to_be_visible()
    page.go_back()
    expect(person.answers.last).to_be_attached()
    page.wait_for_timeout(500)
    assert visible(person) == before


def visible(person: Person) -> str:
    """What stands in the middle of the window."""
    text: str = person.page.evaluate(
        "() => document.elementFromPoint(700, 400)?.closest('article')?.innerText.slice(0, 20) ?? ''"
    )
    return text


def test_messages_out_of_view_cost_little(context: BrowserContext, full_server: ServerProcess) -> None:
    """A thousand of them are loaded; typing still takes no time."""
    person = Person(context.new_page(), full_server.url, SESSION)
    page = person.page
    expect(page.get_by_text(f"Number {MESSAGES // 2 - 1}.").last).to_be_in_viewport()
    page.evaluate("""async () => {
        const scroller = document.querySelector(".transcript");
        while (document.querySelectorAll("article").length < 1_000) {
            scroller.scrollTop = 0;
            await new Promise((resolve) => setTimeout(resolve, 30));
        }
        window.longest = 0;
        new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) window.longest = Math.max(window.longest, entry.duration);
        }).observe({ type: "longtask" });
    }""")
    page.wait_for_timeout(1_000)
    page.evaluate("window.longest = 0")
    person.composer.press_sequentially("some words typed quickly", delay=10)
    page.mouse.move(600, 400)
    for _ in range(20):
        page.mouse.wheel(0, 1_000)
        page.wait_for_timeout(30)
    assert page.evaluate("window.longest") < 200

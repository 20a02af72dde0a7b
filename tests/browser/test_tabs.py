"""Many tabs of one browser."""

from __future__ import annotations

import httpx
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.person import END_OF_DEMO, Person
from tests.serving import ServerProcess


def connections(server: ServerProcess) -> int:
    counts: dict[str, int] = httpx.get(f"{server.url}/api/stream/status").json()["connections"]
    return counts["sse"] + counts["ndjson"] + counts["websocket"]


def test_two_tabs_show_the_same_thing_live(person: Person, context: BrowserContext) -> None:
    person.ask("seen in both tabs")
    person.see("No AI")
    other = Person(context.new_page(), person.url, person.session)
    other.see("No AI is answering")
    expect(other.questions).to_have_text(["seen in both tabs"])
    person.see(END_OF_DEMO)
    other.see(END_OF_DEMO)
    other.ask("and back", model="echo")
    expect(person.questions.last).to_have_text("and back")
    person.see("and back")
    other.assert_nothing_broke()


def test_ten_tabs_read_one_stream(person: Person, context: BrowserContext, page_server: ServerProcess) -> None:
    person.ask("for ten")
    person.see("No AI")
    before = connections(page_server)
    others = [Person(context.new_page(), person.url, person.session) for _ in range(9)]
    for other in others:
        other.see(END_OF_DEMO, timeout=30_000)
    assert connections(page_server) <= before == 1
    others[-1].ask("from the last one", model="echo")
    person.see("from the last one")


def test_ten_tabs_with_ten_chats_leave_room_for_questions(
    person: Person, context: BrowserContext, page_server: ServerProcess
) -> None:
    """A browser opens six connections to a server that speaks HTTP/1.1."""
    tabs = [Person(context.new_page(), person.url, f"tab-{number}-{person.session}") for number in range(10)]
    for number, tab in enumerate(tabs):
        tab.ask(f"question {number}", model="echo")
    for number, tab in enumerate(tabs):
        tab.see(f"question {number}")
    assert connections(page_server) <= 4


def test_another_tab_takes_over_when_the_reading_one_closes(person: Person, context: BrowserContext) -> None:
    person.ask("Go", model="long")
    person.see("0010 ")
    other = Person(context.new_page(), person.url, person.session)
    other.see("0030 ")
    person.page.close()
    before = other.text.inner_text()
    other.page.wait_for_timeout(2_000)
    assert len(other.text.inner_text()) > len(before)
    other.button("Stop").click()
    other.see_the_end()


def test_chats_being_answered_are_marked_in_the_list(person: Person, page: Page) -> None:
    person.ask("Go", model="long")
    person.see("0010 ")
    person.button("New chat").click()
    person.ask("Go on", model="long")
    person.see("0010 ")
    expect(page.get_by_label("being answered")).to_have_count(2)
    person.button("Stop").click()
    expect(page.get_by_label("being answered")).to_have_count(1)
    page.get_by_role("link", name="Go being answered").click()
    person.see("0060 ")
    person.button("Stop").click()
    expect(page.get_by_label("being answered")).to_have_count(0)

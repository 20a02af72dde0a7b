"""Many tabs of one browser."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import LOOKS
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


@pytest.fixture(scope="module")
def ten_tabs(browser: Browser, page_server: ServerProcess) -> Iterator[list[Person]]:
    context = browser.new_context(**LOOKS, service_workers="block")
    yield [Person(context.new_page(), page_server.url) for _ in range(10)]
    context.close()


def test_ten_tabs_read_one_stream(ten_tabs: list[Person], page_server: ServerProcess) -> None:
    first, *others = ten_tabs
    first.turn_to(newly_named())
    first.ask("for ten")
    first.see("No AI")
    for other in others:
        other.turn_to(first.session)
    for other in others:
        other.see(END_OF_DEMO)
    assert connections(page_server) == 1
    others[-1].ask("from the last one", model="echo")
    first.see("from the last one")


def test_ten_tabs_with_ten_chats_leave_room_for_questions(ten_tabs: list[Person], page_server: ServerProcess) -> None:
    """A browser opens six connections to a server that speaks HTTP/1.1."""
    for number, tab in enumerate(ten_tabs):
        tab.turn_to(newly_named())
        tab.ask(f"question {number}", model="echo")
    for number, tab in enumerate(ten_tabs):
        tab.see(f"question {number}")
    assert connections(page_server) <= 4


def newly_named() -> str:
    return f"tab-{uuid.uuid4().hex}"


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


def second_tab(person: Person) -> Person:
    return Person(person.page.context.new_page(), person.url, person.session)


def test_a_chat_that_was_new_in_two_tabs_is_read_in_both(person: Person, page: Page) -> None:
    person.button("New chat").click()
    other = second_tab(person)
    expect(other.page.get_by_text("What would you like to know?")).to_be_visible()
    other.ask("from the other tab", model="echo")
    person.see("from the other tab", timeout=10_000)
    expect(person.questions).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_text("from the other tab")
    person.ask("and back", model="echo")
    other.see("and back")
    other.assert_nothing_broke()


def test_a_question_that_waits_is_the_same_in_both_tabs(person: Person, page: Page, page_server: ServerProcess) -> None:
    person.ask("begun", model="echo")
    person.see("begun")
    person.see_the_end()
    other = second_tab(person)
    other.see("begun")
    refusal = {"code": "invalid", "title": "No", "detail": "Not this.", "status": 422, "retryable": False}
    page.route(
        "**/api/sessions/*/messages",
        lambda route: route.fulfill(status=422, json=refusal) if route.request.method == "POST" else route.continue_(),
    )
    person.ask("twice?", model="echo")
    waiting = other.page.get_by_label("Question that has not been sent")
    expect(waiting).to_contain_text("Not this.")
    person.button("Discard").click()
    expect(waiting).to_have_count(0)
    messages = httpx.get(f"{page_server.url}/api/sessions/{person.session}/messages").json()["messages"]
    assert len(messages) == 2
    other.assert_nothing_broke()

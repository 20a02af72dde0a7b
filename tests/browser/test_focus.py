"""Where the focus goes when what had it has done its work and is gone: what is typed next must not be lost."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.person import Person
from tests.serving import ServerProcess

SENDS = re.compile(r"/api/sessions/[^/]+/messages$")
SCROLLED = "() => document.querySelector('.transcript').scrollTop > 500"

Use = Callable[[Locator], None]


def by_mouse(button: Locator) -> None:
    button.click()


def by_key(button: Locator) -> None:
    button.press("Enter")


@pytest.fixture(params=[by_mouse, by_key])
def use(request: pytest.FixtureRequest) -> Use:
    way: Use = request.param
    return way


def goes_on_typing(person: Person) -> None:
    expect(person.composer).to_be_focused()
    person.page.keyboard.type("and then")
    expect(person.composer).to_have_value("and then")


def test_who_stops_types_the_next_question(person: Person, page: Page, use: Use) -> None:
    person.ask("Hello")
    person.see("No AI is answering")
    held: list[Route] = []
    page.route("**/cancel", lambda route: held.append(route))  # noqa: PLW0108
    use(person.button("Stop"))
    goes_on_typing(person)  # also while the server has not heard of it
    held[0].continue_()
    expect(person.answers.last).to_contain_text("You stopped this answer here.")
    expect(person.composer).to_be_focused()


def test_an_answer_that_ends_under_a_finger_on_stop(person: Person) -> None:
    person.ask("one two three four five " * 40, model="echo")
    person.button("Stop").focus()
    person.see_the_end()
    goes_on_typing(person)


def test_a_suggestion_is_asked_and_gone(person: Person, page: Page, use: Use) -> None:
    person.choose("echo")
    use(page.get_by_role("button", name=re.compile("hash table")))
    expect(person.questions).to_have_count(1)
    goes_on_typing(person)


def test_who_has_caught_up_goes_on(person: Person, use: Use) -> None:
    person.ask("Hello")
    person.see("No AI is answering")
    person.button("Pause").click()
    use(person.button("Catch up"))
    expect(person.button("Catch up")).to_have_count(0)
    goes_on_typing(person)


def test_what_shows_progress_may_end_under_the_focus(person: Person) -> None:
    person.ask("one two three four five " * 40, model="echo")
    person.button("Pause").focus()
    person.see_the_end()
    goes_on_typing(person)


def test_who_is_back_at_the_end_goes_on(person: Person, page: Page, use: Use) -> None:
    person.ask("Hello", model="long")
    page.wait_for_function(SCROLLED)
    person.composer.press("Escape")
    person.see_the_end()
    page.get_by_role("region", name="Conversation").press("Home")
    use(person.button("To the end"))
    goes_on_typing(person)


def test_all_of_a_long_question_is_shown(person: Person, page: Page, page_server: ServerProcess, use: Use) -> None:
    url = f"{page_server.url}/api/sessions/{person.session}/messages"
    httpx.post(url, json={"content": "a line\n" * 2_000, "model": "demo"}).raise_for_status()
    page.reload()
    use(page.get_by_role("button", name=re.compile("Show all")))
    expect(page.get_by_role("button", name=re.compile("Show all"))).to_have_count(0)
    goes_on_typing(person)


def test_a_question_is_tried_again(person: Person, page: Page, use: Use) -> None:
    page.route(SENDS, lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    person.ask("once more", model="echo")
    again = person.button("Try again")
    expect(again).to_be_visible()
    page.unroute(SENDS)
    use(again)
    person.see("once more")
    goes_on_typing(person)


def test_the_versions_of_an_answer_are_gone_through_by_one_key(person: Person, page: Page) -> None:
    person.ask("one two three", model="echo")
    versions = page.get_by_role("group", name="Versions of this answer")
    for count in (2, 3):
        person.see_the_end()
        person.button("Answer again").click()
        expect(versions).to_contain_text(f"{count} / {count}")
        page.wait_for_timeout(550)  # what follows sooner is a double click
    person.see_the_end()
    person.button("Previous version of this answer").focus()
    for place in (2, 1):
        page.keyboard.press("Enter")
        expect(versions).to_contain_text(f"{place} / 3")
    expect(person.button("Next version of this answer")).to_be_focused()  # there is none before the first
    for place in (2, 3):
        page.keyboard.press("Enter")
        expect(versions).to_contain_text(f"{place} / 3")
    expect(person.button("Previous version of this answer")).to_be_focused()


def test_the_versions_of_a_question_too(person: Person, page: Page, page_server: ServerProcess) -> None:
    url = f"{page_server.url}/api/sessions/{person.session}/messages"
    for version in ("first", "second", "third"):
        body = {"content": version, "model": "echo", "parent_id": "root"}
        httpx.post(url, json=body, params={"wait": 5}).raise_for_status()
    page.reload()
    person.see("third")
    person.button("Previous version of this question").focus()
    for version in ("second", "first"):
        page.keyboard.press("Enter")
        expect(person.questions).to_contain_text([version])
    expect(person.button("Next version of this question")).to_be_focused()

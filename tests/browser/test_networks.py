"""Networks that hold streams back."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.person import Person


def hold_back(page: Page, *formats: str) -> None:
    """As a proxy does that passes a response on when it is complete: for a stream, never."""
    for form in formats:
        page.route(f"**/events?*format={form}*", lambda route: None)


def test_an_open_stream_needs_no_steps(person: Person, page: Page) -> None:
    person.ask("Hello")
    person.see("No AI is answering")
    expect(page.get_by_title("Connection")).to_have_text("Live")


def test_sse_held_back_is_replaced_by_a_streamed_response(person: Person, page: Page) -> None:
    hold_back(page, "sse")
    with page.expect_request("**/events?*format=ndjson*"):
        person.ask("one", model="echo")
    person.see("one")
    expect(page.get_by_title("Connection")).to_have_text("Live")
    page.get_by_title("Connection").click()
    expect(page.get_by_role("dialog")).to_contain_text("so this page reads in another way")


def test_both_held_back_end_in_long_polling(person: Person, page: Page) -> None:
    hold_back(page, "sse", "ndjson")
    with page.expect_request("**/events?*format=json*wait=20*", timeout=20_000):
        person.ask("Go", model="long")
    person.see("0100 ", timeout=30_000)
    expect(page.get_by_title("Connection")).to_have_text("Reading in steps")
    page.get_by_title("Connection").click()
    expect(page.get_by_role("dialog")).to_contain_text("Something between you and the server holds data back")
    person.button("Close").click()
    person.button("Stop").click()


def test_what_was_found_is_remembered(person: Person, page: Page) -> None:
    hold_back(page, "sse")
    with page.expect_request("**/events?*format=ndjson*"):
        person.ask("one", model="echo")
    person.see("one")
    page.unroute_all()
    with page.expect_request("**/events?*format=ndjson*", timeout=5_000):
        page.reload()


def test_the_panel_explains_what_the_network_does(person: Person, page: Page) -> None:
    person.ask("one", model="echo")
    person.see("one")
    page.route("**/probe?format=sse", lambda route: route.abort())
    page.get_by_title("Connection").click()
    findings = page.locator(".findings")
    expect(findings).to_contain_text("does not get through")
    expect(findings).to_contain_text("arrives piece by piece")
    expect(findings).to_contain_text("connects")
    expect(page.get_by_text("One way is blocked")).to_be_visible()


@pytest.mark.parametrize("status", [0, 401, 502])
def test_the_panel_does_not_advise_a_websocket_where_nobody_answers(person: Person, page: Page, status: int) -> None:
    page.route("**/probe?*", lambda route: route.fulfill(status=status, body="no") if status else route.abort())
    page.get_by_title("Connection").click()
    expect(page.locator(".findings dd")).to_have_text(["does not get through", "does not get through"])
    expect(page.get_by_role("dialog")).to_contain_text("The server cannot be reached now, or does not answer.")


def test_a_websocket_by_choice(person: Person, page: Page) -> None:
    person.ask("one", model="echo")
    person.see("one")
    page.get_by_title("Connection").click()
    with page.expect_websocket() as socket:
        page.get_by_label("Use a WebSocket").check()
    assert "/ws/chat/" in socket.value.url
    person.button("Close").click()
    person.ask("two", model="echo")
    person.see("two")

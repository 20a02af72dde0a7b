"""Watching an answer arrive."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.person import END_OF_DEMO, Person


def test_dots_stand_where_the_text_will_be_and_go_when_it_comes(person: Person, page: Page) -> None:
    page.route("**/events?*", lambda route: None)  # the answer is being written, and nothing of it arrives
    page.route("**/api/sessions/*/messages?*", lambda route: route.continue_())
    person.ask("Hello")
    expect(page.get_by_label("Waiting for the first words")).to_be_visible()
    page.unroute("**/events?*")
    page.reload()
    person.see("This is a demonstration")
    expect(page.get_by_label("Waiting for the first words")).to_be_hidden()


FROM_END = """() => {
    const { scrollTop, scrollHeight, clientHeight } = document.querySelector(".transcript");
    return scrollHeight - scrollTop - clientHeight;
}"""


@pytest.mark.parametrize("step", [-4, -30])
def test_the_first_movement_up_leaves_the_end(person: Person, page: Page, step: int) -> None:
    person.ask("Hello", model="long")
    page.wait_for_function("() => document.querySelector('.transcript').scrollTop > 500")
    page.get_by_role("region", name="Conversation").hover()
    for _ in range(8):
        page.mouse.wheel(0, step)
        page.wait_for_timeout(30)
    away = page.evaluate(FROM_END)
    assert away > -4 * step
    expect(page.get_by_role("button", name="New text")).to_be_visible()
    page.wait_for_timeout(500)
    assert page.evaluate(FROM_END) > away  # it grows on, below
    person.button("New text").click()
    page.wait_for_timeout(500)
    assert page.evaluate(FROM_END) < 2
    person.button("Stop").click()


def test_a_chat_that_has_not_begun_is_seen_from_its_beginning(person: Person, page: Page) -> None:
    page.set_viewport_size({"width": 640, "height": 400})
    page.reload()
    expect(page.get_by_role("heading", name="What would you like to know?")).to_be_in_viewport(ratio=1)


HAS_FORM_WHILE_WRITTEN = """() => {
    const text = document.querySelector(".markdown[data-writing]");
    return text?.querySelector("h2") && text.querySelector("table")?.textContent.includes("Open a second tab");
}"""


def test_markdown_takes_its_form_while_it_streams(person: Person, page: Page) -> None:
    person.ask("Hello")
    page.wait_for_function(HAS_FORM_WHILE_WRITTEN)
    expect(person.text.locator("h2").first).to_have_text("This is a demonstration")
    person.see(END_OF_DEMO)
    expect(person.text).not_to_have_attribute("data-writing", "")
    expect(person.text.get_by_role("listitem")).to_have_count(3)


IS_HIGHLIGHTED_WHILE_WRITTEN = """() => {
    const text = document.querySelector(".markdown[data-writing]");
    return text?.querySelector(".hljs-keyword")?.textContent === "import" && !text.textContent.includes("EventSource");
}"""


def test_code_is_highlighted_while_it_streams(person: Person, page: Page) -> None:
    assert not any(url.endswith("/highlight.min.js") for url in person.requests)
    person.ask("Hello")
    page.wait_for_function(IS_HIGHLIGHTED_WHILE_WRITTEN)
    assert any(url.endswith("/highlight.min.js") for url in person.requests)


def test_a_long_block_of_code_is_highlighted_to_its_end_and_exact(impatient: Person) -> None:
    person = impatient
    code = "\n".join(f"def name_{number}():\n    return '''{number}\nlines'''" for number in range(120))
    person.ask(f"```python\n{code}\n```", model="echo")
    person.see("name_119", timeout=60_000)
    person.see_the_end(timeout=60_000)
    block = person.text.locator("pre code")
    assert block.inner_text().rstrip() == code
    expect(block.locator(".hljs-keyword", has_text="def")).to_have_count(120)
    expect(block.locator(".hljs-string")).to_have_count(120)


def test_thinking_is_folded_and_shows_that_it_is_alive(person: Person, page: Page) -> None:
    page.get_by_label("Think").check()
    person.ask("Hello")
    summary = page.locator(".thinking summary")
    expect(summary).to_contain_text("Thinking")
    expect(summary.locator(".glimpse")).not_to_be_empty()
    expect(page.locator(".thoughts")).to_be_hidden()
    person.see("This is a demonstration")
    summary.click()
    expect(page.locator(".thoughts")).to_contain_text("there is nothing to reason about")


def test_a_line_says_who_answered_and_how_fast(person: Person) -> None:
    person.ask("A few words", model="echo")
    person.see_the_end()
    facts = person.answers.last.locator(".facts")
    expect(facts).to_contain_text("echo")
    expect(facts).to_contain_text("3 tokens")
    expect(facts).to_contain_text("first after")
    expect(facts).to_contain_text("tokens/s")


def test_the_end_is_followed_until_the_reader_scrolls_up(person: Person, page: Page) -> None:
    person.ask("Go", model="long")
    person.see("0100 ")
    expect(person.text.locator("p, li").last).to_be_in_viewport()
    page.mouse.move(600, 300)
    page.mouse.wheel(0, -600)
    to_end = page.get_by_role("button", name="New text")
    expect(to_end).to_be_visible()
    place = page.locator(".transcript").evaluate("element => element.scrollTop")
    person.see("0150 ")
    assert page.locator(".transcript").evaluate("element => element.scrollTop") == place
    to_end.click()
    expect(to_end).to_be_hidden()
    person.see("0200 ")
    expect(person.text.locator("p, li").last).to_be_in_viewport()
    person.button("Stop").click()


def test_an_answer_can_be_shown_whole_instead(person: Person, page: Page) -> None:
    person.button("Settings").click()
    page.get_by_label("Show answers while they are written").uncheck()
    person.button("Close").click()
    person.ask("Hello")
    expect(page.locator(".progress")).to_contain_text(re.compile(r"about \d\d+ tokens"))
    assert person.read() == ""
    person.see(END_OF_DEMO)


def test_nothing_moves_when_the_cursor_goes(person: Person) -> None:
    person.watch_shifts()
    person.ask("Hello")
    person.see(END_OF_DEMO)
    person.see_the_end()
    assert person.shifts() < 0.1

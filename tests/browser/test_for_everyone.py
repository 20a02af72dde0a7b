"""Screen readers, keyboards, phones, dark rooms, and every direction of writing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser.conftest import LOOKS
from tests.browser.person import Person
from tests.serving import ServerProcess


def empty(person: Person) -> None:
    expect(person.page.get_by_text("What would you like to know?")).to_be_visible()


def streaming(person: Person) -> None:
    person.page.get_by_label("Think").check()
    person.ask("Go", model="long")
    person.see("0010 ")
    person.button("Pause").click()  # what grows while it is examined takes long


def answered(person: Person) -> None:
    person.ask("one two three", model="echo")
    person.see("one two three")
    person.see_the_end()


def every_form_of_text(person: Person) -> None:
    person.ask(
        "# One\n\n### Three\n\n- [x] done\n- [ ] not\n\n|a|b|\n|-|-|\n|c|d|\n\n[x](https://example.com) ![i](https://e.example/i)"
        "\n\n> quote\n\n```python\nx = 1\n```\n\n$x$ ~~s~~ `code`",
        model="echo",
    )
    person.see("quote")
    person.see_the_end()


def stopped(person: Person) -> None:
    person.ask("Hello")
    person.see("No AI")
    person.button("Stop").click()
    expect(person.answers.last).to_contain_text("You stopped")


def not_sent(person: Person) -> None:
    person.page.route("**/messages", lambda route: route.abort())
    person.ask("Hello")
    expect(person.page.get_by_text("Not sent.")).to_be_visible()


def editing(person: Person) -> None:
    answered(person)
    person.questions.first.hover()
    person.questions.first.get_by_role("button", name="Edit").click()


def settings(person: Person) -> None:
    person.button("Settings").click()


def connection(person: Person) -> None:
    person.page.get_by_title("Connection").click()
    expect(person.page.get_by_text("All is well")).to_be_visible()


SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
STATES = [empty, streaming, answered, every_form_of_text, stopped, not_sent, editing, settings, connection]
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.mark.parametrize("state", STATES)
def test_axe_finds_no_fault(browser: Browser, page_server: ServerProcess, state: Callable[[Person], None]) -> None:
    context = browser.new_context(**LOOKS, reduced_motion="reduce", service_workers="block")
    person = Person(context.new_page(), page_server.url)
    state(person)
    assert_no_fault(person.page)
    context.close()


def assert_no_fault(page: Page) -> None:
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page, options={"runOnly": LEVELS})
        assert found.violations_count == 0, found.generate_report()


LISTEN = """() => {
    window.heard = [];
    new MutationObserver((changes) => {
        for (const { addedNodes } of changes) for (const node of addedNodes) window.heard.push(node.textContent);
    }).observe(document.querySelector("[aria-live=polite][role=log]"), { childList: true });
}"""


def test_screen_readers_hear_sentences(person: Person, page: Page) -> None:
    page.evaluate(LISTEN)
    person.ask("One sentence. Another one! **Is** this the third? And `code`", model="echo")
    expect(page.get_by_role("log")).to_contain_text("The answer has ended.")
    heard = page.evaluate("window.heard")
    assert " ".join(heard) == "One sentence. Another one! Is this the third? And code The answer has ended."
    assert all(re.search(r"([.!?]|And code)$", each) for each in heard)


def test_screen_readers_hear_once_that_a_model_thinks_and_that_something_is_copied(person: Person, page: Page) -> None:
    page.context.grant_permissions(["clipboard-write"])
    page.evaluate(LISTEN)
    page.get_by_label("Think").check()
    person.ask("Hello")
    expect(page.get_by_role("log")).to_contain_text("The answer has ended.")
    heard = " ".join(page.evaluate("window.heard"))
    assert heard.startswith("Thinking. This is a demonstration")
    assert heard.count("Thinking.") == 1
    person.button("Copy the answer").click()
    expect(page.get_by_role("log")).to_contain_text("Copied.")


def test_nothing_that_is_to_be_heard_is_lost(page: Page) -> None:
    page.evaluate("""async () => {
        const own = document.querySelector("link[rel=modulepreload][href$='/announcer.js']").href;
        const { announce } = await import(own);
        for (let number = 1; number <= 40; number += 1) announce(`Sentence ${number}.`);
    }""")
    expect(page.get_by_role("log")).to_have_text(" ".join(f"Sentence {number}." for number in range(1, 41)))


A4: ViewportSize = {"width": 718, "height": 1047}  # in CSS pixels, within its margins


def test_paper_has_all_of_it_and_no_buttons(person: Person, page: Page) -> None:
    code, row = "x = " + "1 + " * 100 + "1", "|" + "column |" * 12
    person.ask(f"```python\n{code}\n```\n\n{row}\n{'|-' * 12}|\n{row}", model="echo")
    person.see("column")
    person.see_the_end()
    page.emulate_media(media="print")
    page.set_viewport_size(A4)
    assert page.get_by_role("button").count() == page.get_by_role("link").count() == 0
    wide = "elements => elements.filter((element) => element.scrollWidth > element.clientWidth + 1).length"
    assert page.locator(".code pre, .table").evaluate_all(wide) == 0


def test_dots_and_cursor_keep_still_for_those_who_ask(browser: Browser, page_server: ServerProcess) -> None:
    context = browser.new_context(**LOOKS, reduced_motion="reduce")
    person = Person(context.new_page(), page_server.url)
    person.ask("Hello")
    person.see("No AI")
    assert person.page.evaluate("document.getAnimations().filter((each) => each.playState === 'running').length") == 0
    context.close()


def test_text_goes_in_its_own_direction(person: Person) -> None:
    person.ask("مرحبا بالعالم، هذا نص طويل بعض الشيء.", model="echo")
    person.see("مرحبا")
    direction = "element => getComputedStyle(element).direction"
    assert person.text.locator("p").evaluate(direction) == "rtl"
    assert person.questions.locator(".bubble").evaluate(direction) == "rtl"


def test_each_line_of_a_question_goes_in_its_own_direction(person: Person) -> None:
    person.ask("مرحبا بالعالم\nHello, world.", model="echo")
    person.see("world.")
    first, last = person.questions.locator(".bubble").evaluate("""(bubble) => [..."H."].map((letter) => {
        const place = new Range();
        const start = bubble.firstChild.data.indexOf(letter);
        place.setStart(bubble.firstChild, start);
        place.setEnd(bubble.firstChild, start + 1);
        return place.getBoundingClientRect().x;
    })""")
    assert first < last


def test_what_is_suggested_in_a_field_can_be_read(person: Person, page: Page) -> None:
    settings(person)
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        hint = page.locator(".hint").first.evaluate("element => getComputedStyle(element).color")
        for name in ("Most tokens an answer may have", "OpenAI"):
            look = "(field, name) => getComputedStyle(field, '::placeholder')[name]"
            assert page.get_by_label(name).evaluate(look, "color") == hint
            assert page.get_by_label(name).evaluate(look, "opacity") == "1"


def test_lists_tables_and_quotations_begin_where_their_text_does(person: Person) -> None:
    table = "| الاسم | العدد |\n|---|---|\n| تفاح | 3 |"
    numbered = "1. أولاً\n   ```\n   x = 1\n   ```\n2. Second"
    person.ask(f"{numbered}\n\n> اقتباس\n\n{table}\n\n- in English\n- مرحبا", model="echo")
    person.see("in English")
    person.see_the_end()
    direction = "elements => elements.map((element) => getComputedStyle(element).direction)"
    assert person.text.locator("ol, blockquote, table").evaluate_all(direction) == ["rtl"] * 3
    assert person.text.locator("ul, pre").evaluate_all(direction) == ["ltr"] * 2
    first, second = person.text.locator("th").evaluate_all(
        "cells => cells.map((cell) => cell.getBoundingClientRect().x)"
    )
    assert first > second


def test_everything_has_its_place_on_a_phone(browser: Browser, page_server: ServerProcess) -> None:
    looks = {**LOOKS, "viewport": {"width": 360, "height": 700}, "has_touch": True, "is_mobile": True}
    context = browser.new_context(**looks)
    page = context.new_page()
    person = Person(page, page_server.url)
    person.composer.fill("Hello")
    person.button("Send").tap()
    person.see("Open a second tab")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    expect(page.get_by_label("Search chats")).not_to_be_in_viewport()
    person.button("Chats").tap()
    expect(page.get_by_label("Search chats")).to_be_in_viewport()
    person.button("New chat").tap()
    expect(page.get_by_label("Search chats")).not_to_be_in_viewport()
    expect(page.get_by_text("What would you like to know?")).to_be_visible()
    context.close()


def test_the_drawer_of_chats_is_left_as_it_was_entered(browser: Browser, page_server: ServerProcess) -> None:
    context = browser.new_context(**{**LOOKS, "viewport": {"width": 360, "height": 700}})
    page = context.new_page()
    person = Person(page, page_server.url)
    person.ask("Go", model="long")
    person.see("0010 ")
    ways: tuple[Callable[[], None], ...] = (
        lambda: page.keyboard.press("Escape"),
        lambda: person.button("Close the chats").click(),
        lambda: page.mouse.click(350, 400),
    )
    for leave in ways:
        person.button("Chats").click()
        expect(person.button("Close the chats")).to_be_focused()
        leave()
        expect(page.get_by_label("Search chats")).not_to_be_in_viewport()
        expect(person.button("Chats")).to_be_focused()
    page.keyboard.press("Control+k")
    expect(page.get_by_label("Search chats")).to_be_focused()
    page.keyboard.type("nobody ever said this")
    expect(page.get_by_text("Nothing found")).to_be_visible()
    assert_no_fault(page)  # without chats: axe takes links of a long list for ways to skip something
    page.keyboard.press("Escape")
    expect(page.get_by_label("Search chats")).to_have_value("")
    page.keyboard.press("Escape")
    expect(person.button("Chats")).to_be_focused()
    expect(person.button("Stop")).to_be_visible()  # the answer goes on
    page.keyboard.press("Escape")
    expect(person.answers.last).to_contain_text("You stopped this answer here.")
    context.close()


def test_what_colours_say_is_to_be_seen_where_the_system_chooses_them(person: Person, page: Page) -> None:
    answered(person)
    person.button("New chat").click()
    page.route("**/events?*", lambda route: None)  # the answer is being written, and nothing of it arrives
    person.ask("Go", model="long")
    page.emulate_media(forced_colors="active")
    ink = page.evaluate("getComputedStyle(document.body).color")
    for dot in (".badge .dot", ".session.current .active", ".typing i"):
        expect(page.locator(dot).first).to_have_css("background-color", ink)
    expect(page.locator(".bubble")).to_have_css("border-top", f"1px solid {ink}")
    expect(page.locator(".session.current")).to_have_css("border-top", f"1px solid {ink}")
    expect(page.locator(".session:not(.current)").first).to_have_css("border-top-style", "none")


def test_light_and_dark_by_the_system_and_by_choice(person: Person, page: Page) -> None:
    def is_dark() -> bool:
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(each) for each in re.findall(r"\d+", ground)) < 3 * 128

    page.emulate_media(color_scheme="dark")
    assert is_dark()
    page.emulate_media(color_scheme="light")
    assert not is_dark()
    person.button("Settings").click()
    page.get_by_label("Colours").select_option(label="Dark")
    assert is_dark()
    page.reload()
    assert is_dark()


def test_the_first_tab_stop_leads_past_the_chats(person: Person, page: Page) -> None:
    session = person.session
    link = page.get_by_role("link", name="Skip to the question")
    assert link.evaluate("link => document.querySelector('a, button, input, select, textarea') === link")
    link.focus()
    expect(link).to_be_in_viewport(ratio=1)
    page.keyboard.press("Enter")
    expect(person.composer).to_be_focused()
    assert person.session == session


def test_the_way_of_the_tab_key_is_visible(person: Person, page: Page) -> None:
    person.ask("Hello", model="echo")
    person.see("Hello")
    for _ in range(25):
        page.keyboard.press("Tab")
        seen = page.evaluate("""() => {
            const style = getComputedStyle(document.activeElement);
            const around = getComputedStyle(document.activeElement.closest(".field, .search") ?? document.body);
            return document.activeElement === document.body || style.outlineStyle !== "none"
                || around.outlineStyle !== "none" || around.borderStyle !== "none";
        }""")
        assert seen, page.evaluate("document.activeElement.outerHTML")

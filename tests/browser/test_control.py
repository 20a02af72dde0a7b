"""Being in charge of an answer."""

from __future__ import annotations

import json
import re

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.browser.person import END_OF_DEMO, Person
from tests.serving import ServerProcess

RING_IS_WHOLE = """(field) => {
    const [inner, outer] = [field, field.form].map((each) => each.getBoundingClientRect());
    const width = 4; // of the ring and the gap around it
    return outer.left <= inner.left - width && outer.right >= inner.right + width && outer.top <= inner.top - width;
}"""


def test_stop_ends_the_answer_and_keeps_its_text(person: Person) -> None:
    person.ask("Hello")
    person.see("No AI is answering")
    person.button("Stop").click()
    expect(person.answers.last).to_contain_text("You stopped this answer here.")
    person.see("No AI is answering")
    expect(person.text).not_to_contain_text(END_OF_DEMO)


def test_escape_stops(person: Person, page: Page) -> None:
    person.ask("Hello")
    person.see("No AI is answering")
    page.keyboard.press("Escape")
    expect(person.answers.last).to_contain_text("You stopped this answer here.")


def test_escape_leaves_the_search_and_stops_nothing(person: Person, page: Page) -> None:
    person.ask("Hello")
    person.see("No AI is answering")
    page.keyboard.press("Control+k")
    page.keyboard.type("nowhere")
    for _ in range(2):  # the first one empties it
        expect(page.get_by_label("Search chats")).to_be_focused()
        page.keyboard.press("Escape")
    expect(person.composer).to_be_focused()
    expect(person.button("Stop")).to_be_visible()
    page.keyboard.press("Escape")
    expect(person.answers.last).to_contain_text("You stopped this answer here.")


def test_answer_again_stands_beside_the_first_one(person: Person) -> None:
    person.ask("one two three", model="echo")
    person.see("one two three")
    person.see_the_end()
    person.choose("demo")
    person.button("Answer again").click()
    expect(person.composer).to_be_focused()
    person.see("This is a demonstration")
    person.button("Stop").click()
    expect(person.answers).to_have_count(1)
    person.button("Previous version of this answer").click()
    expect(person.text).to_have_text("one two three")
    person.button("Next version of this answer").click()
    person.see("This is a demonstration")


@pytest.mark.parametrize("delay", [0, 700])
def test_a_double_click_asks_once(person: Person, page: Page, page_server: ServerProcess, delay: int) -> None:
    def asked() -> int:
        return len(httpx.get(f"{page_server.url}/api/sessions/{person.session}/messages").json()["messages"])

    def be_slow(route: Route) -> None:
        page.wait_for_timeout(delay)
        route.continue_()

    person.ask("one two three", model="echo")
    person.see("one two three")
    person.see_the_end()
    page.route(re.compile(r"/(regenerate|messages)$"), be_slow)
    person.button("Answer again").dblclick()
    expect(page.locator(".branches")).to_contain_text("2")
    page.wait_for_timeout(700)
    assert asked() == 3
    person.choose("demo")
    person.button("Answer again").click()
    person.see("No AI is answering")
    person.button("Stop").click()
    person.button("Continue").dblclick()
    expect(person.questions).to_have_count(2)
    page.wait_for_timeout(700)
    assert asked() == 6
    person.button("Stop").click()
    person.button("Try again").last.dblclick()
    expect(person.button("Stop")).to_be_visible()
    page.wait_for_timeout(700)
    assert asked() == 7


def test_an_edited_question_is_a_branch(person: Person, page: Page) -> None:
    person.ask("first", model="echo")
    person.see("first")
    person.ask("second", model="echo")
    person.see("second")
    person.see_the_end()
    person.questions.first.hover()
    person.questions.first.get_by_role("button", name="Edit the question").click()
    editor = page.get_by_role("textbox", name="Edit the question")
    assert editor.evaluate(RING_IS_WHOLE)
    editor.fill("changed")
    person.button("Send as a new version").click()
    person.see("changed")
    expect(person.questions).to_have_count(1)
    expect(person.composer).to_be_focused()
    person.button("Previous version of this question").click()
    expect(person.questions).to_have_count(2)
    expect(person.text).to_have_text("second")


def test_who_has_only_the_demo_is_led_to_where_a_key_is_given(person: Person, page: Page) -> None:
    demo = page.get_by_text("key in the settings, or set one on the server.")
    expect(demo).to_be_visible()
    person.button("settings").click()
    page.get_by_label("OpenAI").fill("sk-mine")
    page.keyboard.press("Escape")
    expect(demo).to_be_hidden()


@pytest.mark.parametrize("ending", ["Cancel", "Send as a new version"])
def test_what_is_typed_into_an_old_question_survives_until_it_is_sent(person: Person, page: Page, ending: str) -> None:
    person.ask("first", model="echo")
    person.see_the_end()
    session = person.session
    person.questions.first.hover()
    person.button("Edit the question").click()
    editor = page.get_by_role("textbox", name="Edit the question")
    expect(editor).to_be_focused()
    editor.fill("half of a better one")
    person.button("New chat").click()
    expect(editor).to_be_hidden()
    person.turn_to(session)
    expect(editor).to_have_value("half of a better one")
    page.reload()
    expect(editor).to_have_value("half of a better one")
    expect(person.composer).to_be_focused()
    person.button(ending).click()
    said = "first" if ending == "Cancel" else "half of a better one"
    person.see(said)
    page.reload()
    person.see(said)
    expect(editor).to_be_hidden()
    assert page.evaluate("Object.keys(localStorage).filter((name) => name.includes(':edit:'))") == []


def test_the_branch_in_view_stays_in_view(person: Person, page: Page, page_server: ServerProcess) -> None:
    url = f"{page_server.url}/api/sessions/{person.session}/messages"
    person.ask("first version", model="echo")
    person.see("first version")
    person.see_the_end()
    body = {"content": "second version", "model": "echo", "parent_id": "root"}
    httpx.post(url, json=body, params={"wait": 5}).raise_for_status()
    expect(person.button("Next version of this question")).to_have_count(1)
    expect(person.questions).to_contain_text(["first version"])
    page.reload()
    person.see("first version")
    person.turn_to("another-chat")
    expect(person.questions).to_have_count(0)
    page.go_back()
    person.see("first version")
    person.questions.first.hover()
    person.button("Edit the question").click()
    editor = page.get_by_role("textbox", name="Edit the question")
    expect(editor).to_be_focused()
    editor.fill("my long rewriting, not sent yet")
    httpx.post(url, json={"content": "asked elsewhere", "model": "echo"}, params={"wait": 5}).raise_for_status()
    page.wait_for_timeout(500)
    expect(editor).to_have_value("my long rewriting, not sent yet")
    person.button("Send as a new version").click()
    person.see("my long rewriting, not sent yet")
    page.reload()
    person.see("my long rewriting, not sent yet")


def test_a_very_long_question_is_folded(person: Person, page_server: ServerProcess) -> None:
    question = "a line of something that somebody pasted\n" * 5_000 + "the end"
    url = f"{page_server.url}/api/sessions/{person.session}/messages"
    httpx.post(url, json={"content": question, "model": "demo"}).raise_for_status()
    person.page.reload()
    expect(person.questions).to_have_count(1)
    box = person.questions.bounding_box()
    assert box
    assert box["height"] < 700
    expect(person.questions).not_to_contain_text("the end")
    person.button("Show all 205,007 characters").click()
    expect(person.questions).to_contain_text("the end")


def test_a_question_sent_during_an_answer_waits_for_it(person: Person, page: Page) -> None:
    person.ask("first words of a rather long question to have echoed " * 24, model="echo")
    person.see("first")
    person.ask("later", model="echo")
    expect(page.get_by_text("Waiting for the answer before this one")).to_be_visible()
    person.see("later")
    expect(person.answers.first.locator(".markdown")).to_contain_text(re.compile(r"echoed\s*$"))


def test_a_question_that_waits_can_be_taken_back(person: Person, page: Page) -> None:
    person.ask("Go on", model="long")
    person.see("0001")
    person.ask("later", model="echo")
    person.button("Do not answer").press("Enter")  # what grows above it moves it
    expect(person.answers.last).to_contain_text("You stopped this answer.")
    expect(person.composer).to_be_focused()
    expect(person.button("Stop")).to_be_visible()  # the other one goes on
    person.button("Stop").click()
    expect(person.answers.first).to_contain_text("You stopped this answer here.")


def test_or_interrupts_it(person: Person, page: Page) -> None:
    person.ask("Hello")
    person.see("No AI is answering")
    page.get_by_label("A question sent now").select_option(label="Interrupt this answer")
    person.ask("now", model="echo")
    person.see("now")
    expect(person.answers.first).to_contain_text("You stopped this answer here.")
    expect(person.answers.first).not_to_contain_text(END_OF_DEMO)


def test_pause_holds_the_display_while_the_answer_goes_on(person: Person, page: Page) -> None:
    person.ask("Hello")
    person.see("No AI is answering")
    person.button("Pause").click()
    page.wait_for_timeout(100)
    held = person.read()
    expect(page.get_by_text("All of it is here")).to_be_visible(timeout=20_000)
    assert person.read() == held
    person.button("Catch up").click()
    person.see(END_OF_DEMO)


def test_a_stopped_answer_is_not_called_complete(person: Person, page: Page) -> None:
    person.ask("Hello")
    person.see("No AI is answering")
    person.button("Pause").click()
    page.keyboard.press("Escape")
    expect(person.answers.last).to_contain_text("You stopped this answer here.")
    expect(page.locator(".progress")).to_contain_text("All of it is here")
    expect(page.get_by_text("complete")).to_have_count(0)


def test_the_reading_speed_is_the_viewers_own(person: Person, context: BrowserContext, page: Page) -> None:
    person.ask("Hello")
    slider = page.get_by_label("Reading speed")
    slider.fill("2")
    expect(slider).to_have_attribute("aria-valuetext", "slow")
    expect(page.get_by_text("All of it is here")).to_be_visible(timeout=20_000)
    assert END_OF_DEMO not in person.read()
    person.button("Catch up").click()
    person.see(END_OF_DEMO)


def test_progress_counts_towards_the_limit(person: Person, page: Page) -> None:
    person.button("Settings").click()
    limit = page.get_by_label("Most tokens an answer may have")
    limit.fill("-3")
    limit.press("Enter")
    expect(limit).to_have_value("")
    limit.fill("150")
    person.button("Close").click()
    person.ask("Hello")
    expect(page.locator(".progress")).to_contain_text(re.compile(r"about \d+ of 150 tokens\d+ s"))
    expect(person.answers.last).to_contain_text("reached its limit of tokens", timeout=20_000)


def test_an_answer_that_reached_its_limit_goes_on(person: Person, page: Page) -> None:
    person.button("Settings").click()
    page.get_by_label("Most tokens an answer may have").fill("5")
    person.button("Close").click()
    person.ask("one two three four five six seven", model="echo")
    expect(person.answers.last).to_contain_text("reached its limit of tokens")
    person.button("Continue").click()
    expect(person.questions.last).to_contain_text("Continue it from exactly where it stopped")
    expect(person.answers).to_have_count(2)


def test_it_goes_on_by_the_model_that_wrote_it(person: Person, page: Page) -> None:
    person.ask("one two three " * 50, model="echo")
    person.see("one")
    person.button("Stop").click()
    person.see_the_end()
    person.choose("demo")
    with page.expect_request(lambda request: request.method == "POST") as asked:
        person.button("Continue").click()
    body = json.loads(asked.value.post_data or "")
    assert (body["provider"], body["model"]) == ("demo", "echo")
    person.button("Stop").click()


def test_text_and_code_are_copied_as_they_were_written(person: Person, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    person.ask("A **word**.\n\n```python\nprint(1)\n```\n", model="echo")
    person.see_the_end()
    person.button("Copy the answer").click()
    assert page.evaluate("navigator.clipboard.readText()").rstrip() == "A **word**.\n\n```python\nprint(1)\n```"
    person.button("Copy").click()
    assert page.evaluate("navigator.clipboard.readText()").rstrip() == "print(1)"


def test_keys_are_kept_by_the_tab_that_was_asked_to_and_known_in_all(person: Person, page: Page) -> None:
    other = Person(page.context.new_page(), person.url)
    keys = "localStorage.getItem('xionimus:local:keys')"
    person.button("Settings").click()
    page.get_by_label("OpenAI").fill("sk-mine")
    page.get_by_label("OpenAI").blur()
    page.get_by_label("Keep them in this browser").check()
    other.button("Settings").click()
    expect(other.page.get_by_label("Keep them in this browser")).to_be_checked()
    expect(other.page.get_by_label("OpenAI")).to_have_value("sk-mine")
    assert json.loads(page.evaluate(keys)) == {"openai": "sk-mine"}
    other.page.get_by_label("OpenAI").fill("")
    other.page.get_by_label("Anthropic").fill("sk-other")
    other.page.get_by_label("Anthropic").blur()
    expect(page.get_by_label("OpenAI")).to_have_value("")
    expect(page.get_by_label("Anthropic")).to_have_value("sk-other")
    assert json.loads(page.evaluate(keys)) == {"anthropic": "sk-other"}
    page.get_by_label("Keep them in this browser").uncheck()
    expect(other.page.get_by_label("Keep them in this browser")).not_to_be_checked()
    expect(other.page.get_by_label("Anthropic")).to_have_value("sk-other")
    assert page.evaluate(keys) is None


def test_an_own_key_goes_with_the_question_and_is_kept_only_on_request(person: Person, page: Page) -> None:
    model = page.locator("optgroup", has=page.locator("option")).filter(has_text="gpt").first
    expect(model).to_be_disabled()
    person.button("Settings").click()
    page.get_by_label("OpenAI").fill("sk-my-own-key")
    page.get_by_label("OpenAI").blur()
    person.button("Close").click()
    expect(model).to_be_enabled()
    with page.expect_request(lambda request: request.method == "POST") as asked:
        person.ask("Hello")
    assert json.loads(asked.value.post_data or "")["api_keys"] == {"openai": "sk-my-own-key"}
    assert "sk-my-own-key" not in page.evaluate("JSON.stringify(localStorage)")
    person.button("Settings").click()
    page.get_by_label("Keep them in this browser").check()
    assert "sk-my-own-key" in page.evaluate("JSON.stringify(localStorage)")
    page.get_by_label("Keep them in this browser").uncheck()
    assert "sk-my-own-key" not in page.evaluate("JSON.stringify(localStorage)")

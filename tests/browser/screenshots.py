"""The page in its states, as pictures to be looked at.

uv run python -m tests.browser.screenshots FOLDER
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM, LOOKS
from tests.browser.person import END_OF_DEMO, Person
from tests.serving import ServerProcess, running

PHONE = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}


def empty(person: Person) -> None:
    expect(person.page.get_by_text("What would you like to know?")).to_be_visible()


def thinking(person: Person) -> None:
    person.page.get_by_label("Think").check()
    person.ask("Why is the sky blue?")
    person.page.locator(".thinking summary").click()
    expect(person.page.locator(".thoughts")).to_contain_text("kept with it")


def streaming(person: Person) -> None:
    person.ask("How do I read an answer from my own program?")
    person.see("stream that any HTTP client")


def code_and_table(person: Person) -> None:
    person.ask("How do I read an answer from my own program?")
    person.see(END_OF_DEMO)
    person.see_the_end()
    person.page.locator(".transcript").evaluate("element => element.scrollTo(0, 180)")


def error(person: Person) -> None:
    def fail(route: object) -> None:
        body = (
            '{"code":"overloaded","status":503,"title":"Overloaded","detail":"1000 answers are being written already.",'
        )
        route.fulfill(status=503, body=body + '"retryable":true,"retry_after":5}')  # type: ignore[attr-defined]

    person.ask("Hello")
    person.see("No AI is answering")
    person.button("Stop").click()
    person.see_the_end()
    person.page.route("**/messages", fail)
    person.ask("And what if it fails?")
    expect(person.page.get_by_text("Not sent")).to_be_visible()


def offline(person: Person) -> None:
    person.ask("one two three", model="echo")
    person.see("one two three")
    person.see_the_end()
    person.page.context.set_offline(True)
    person.ask("Is anybody there?")
    expect(person.page.get_by_text("Not sent")).to_be_visible()


def settings(person: Person) -> None:
    person.button("Settings").click()


def connection(person: Person) -> None:
    person.ask("one two three", model="echo")
    person.see("one two three")
    person.page.get_by_title("Connection").click()
    expect(person.page.get_by_text("All is well")).to_be_visible()


def menu(person: Person) -> None:
    person.button("Chats").tap()
    person.page.wait_for_timeout(400)


State = Callable[[Person], None]
PICTURES: list[tuple[str, State, dict[str, object]]] = [
    ("empty", empty, {}),
    ("streaming", streaming, {}),
    ("code-and-table", code_and_table, {}),
    ("thinking", thinking, {}),
    ("error", error, {}),
    ("offline", offline, {}),
    ("settings", settings, {}),
    ("connection", connection, {}),
    ("dark", code_and_table, {"color_scheme": "dark"}),
    ("dark-streaming", streaming, {"color_scheme": "dark"}),
    ("phone", streaming, PHONE),
    ("phone-menu", menu, PHONE),
    ("phone-dark", code_and_table, {**PHONE, "color_scheme": "dark"}),
]


def take(browser: Browser, server: ServerProcess, folder: Path) -> None:
    for name, state, looks in PICTURES:
        context = browser.new_context(**{**LOOKS, **looks}, service_workers="block")
        page: Page = context.new_page()
        state(Person(page, server.url))
        page.screenshot(path=folder / f"{name}.png")
        context.close()


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as temporary,
        running(Path(temporary), XIONIMUS_DEMO_DELAY="0.02") as running_server,
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        take(chromium, running_server, target)
        chromium.close()

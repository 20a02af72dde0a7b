"""The page in its states, as pictures to be looked at.

uv run --group dev python -m tests.browser.screenshots FOLDER
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM, LOOKS
from tests.browser.person import END_OF_DEMO, Person
from tests.faults.provider import providing
from tests.faults.script import Script
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
    expect(person.page.get_by_text("Not sent.")).to_be_visible()


def offline(person: Person) -> None:
    person.ask("one two three", model="echo")
    person.see("one two three")
    person.see_the_end()
    person.page.context.set_offline(True)
    person.ask("Is anybody there?")
    expect(person.page.get_by_text("Not sent.")).to_be_visible()


def failed(person: Person) -> None:
    person.ask(Script("reset", after=40, chunks=60, tag="failed").question, model="scripted")
    expect(person.answers.last.get_by_role("alert")).to_be_visible()


def retrying(person: Person) -> None:
    person.ask(Script("status", status=503, retry="seconds:9", tag="retrying").question, model="scripted")
    expect(person.page.get_by_text("Trying again")).to_be_visible()


def sources(person: Person) -> None:
    person.ask(Script(chunks=60, tag="sources").question, model="sonar")
    person.see_the_end()
    person.page.get_by_text("2 sources").click()


def long_code(person: Person) -> None:
    lines = "\n".join(f"    assert squares[{number}] == {number} ** 2, 'the square'  # line" for number in range(40))
    code = f"```python\nsquares = [number * number for number in range(40)]\nfor number in range(40):\n{lines}\n```"
    person.ask(code, model="echo")
    person.see("squares[39]")
    person.see_the_end()


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


def extra(url: str) -> str:
    """The setting for one more provider, that speaks the OpenAI format."""
    return json.dumps([{"id": "own", "name": "Own server", "base_url": f"{url}/v1", "models": ["scripted"]}])


State = Callable[[Person], None]
PICTURES: list[tuple[str, State, dict[str, object]]] = [
    ("empty", empty, {}),
    ("streaming", streaming, {}),
    ("code-and-table", code_and_table, {}),
    ("thinking", thinking, {}),
    ("error", error, {}),
    ("offline", offline, {}),
    ("failed", failed, {}),
    ("retrying", retrying, {}),
    ("sources", sources, {}),
    ("long-code", long_code, {}),
    ("settings", settings, {}),
    ("connection", connection, {}),
    ("dark", code_and_table, {"color_scheme": "dark"}),
    ("dark-streaming", streaming, {"color_scheme": "dark"}),
    ("phone", streaming, PHONE),
    ("phone-menu", menu, PHONE),
    ("phone-failed", failed, PHONE),
    ("phone-code", long_code, PHONE),
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
        providing() as provider,
        running(
            Path(temporary),
            **{**provider.environment, "XIONIMUS_DEFAULT_PROVIDER": "demo", "XIONIMUS_DEFAULT_MODEL": ""},
            XIONIMUS_DEMO_DELAY="0.02",
            XIONIMUS_EXTRA_PROVIDERS=extra(provider.url),
        ) as running_server,
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        take(chromium, running_server, target)
        chromium.close()

"""What providers do: they name sources, fail, are asked again, and let others answer."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.person import Person
from tests.browser.test_for_everyone import assert_no_fault
from tests.faults.provider import ProviderProcess, providing
from tests.faults.script import Script
from tests.serving import ServerProcess, running


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderProcess]:
    with providing() as process:
        yield process


@pytest.fixture(scope="module")
def page_server(provider: ProviderProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    fallback = {"XIONIMUS_FALLBACK_PROVIDER": "anthropic", "XIONIMUS_FALLBACK_MODEL": "instead"}
    with running(tmp_path_factory.mktemp("providers"), **provider.environment, **fallback) as process:
        yield process


def ask(person: Person, script: Script, model: str = "scripted") -> None:
    person.ask(script.question, model=model)


def test_sources_are_named_with_their_hosts(person: Person, page: Page) -> None:
    ask(person, Script(tag=person.session), model="sonar")
    person.see("20:")
    summary = person.answers.last.get_by_text("2 sources")
    expect(summary).to_contain_text("example.org, light.example")
    summary.click()
    titled = person.answers.last.get_by_role("link", name="Why the sky is blue")
    expect(titled).to_have_attribute("href", "https://example.org/sky")
    expect(titled).to_have_attribute("rel", "noopener noreferrer")
    expect(titled).to_contain_text("example.org")
    expect(person.answers.last.get_by_role("link", name="https://light.example/scattering")).to_be_visible()
    page.reload()
    expect(person.answers.last.get_by_text("2 sources")).to_be_visible()


WATCH_PLACES = """() => {
    window.places = { ".sources summary": new Set(), ".markdown p": new Set() };
    const look = () => {
        for (const [what, tops] of Object.entries(window.places)) {
            const found = document.querySelector(what);
            if (found) tops.add(Math.round(found.getBoundingClientRect().top));
        }
        requestAnimationFrame(look);
    };
    look();
}"""


def test_where_others_answer_nothing_is_said_of_the_demo(person: Person, page: Page) -> None:
    expect(page.get_by_text("What would you like to know?")).to_be_visible()
    expect(page.get_by_text("Only the demo answers so far.")).to_be_hidden()


def test_sources_and_text_do_not_push_each_other(person: Person, page: Page) -> None:
    page.evaluate(WATCH_PLACES)
    ask(person, Script(chunks=60, delay=0.01, tag=person.session), model="sonar")
    person.see("60:")
    person.see_the_end()
    assert page.evaluate("Object.values(window.places).map((tops) => tops.size)") == [1, 1]


def test_a_provider_that_is_asked_again_is_no_secret(person: Person, page: Page) -> None:
    ask(person, Script("status", status=503, retry="seconds:2", times=1, tag=person.session))
    note = page.get_by_text("The provider is overloaded. Trying again (attempt 2) …")
    expect(note).to_be_visible()
    person.see("20:")
    expect(note).to_be_hidden()


def test_another_provider_that_answers_instead_is_named(person: Person, page: Page) -> None:
    ask(person, Script("status", status=401, times=1, wait=2, tag=person.session))
    expect(page.get_by_text("The provider refused the key. Asking anthropic · instead …")).to_be_visible()
    person.see("20:")
    expect(person.answers.last.locator(".facts")).to_contain_text("anthropic · instead")


def test_a_provider_that_fails_in_the_middle_leaves_its_text(person: Person) -> None:
    script = Script("reset", after=5, times=1, tag=person.session)
    ask(person, script)
    trouble = person.answers.last.get_by_role("alert")
    expect(trouble).to_contain_text("OpenAI")
    person.see("5:")
    expect(person.text).not_to_contain_text("6:")
    expect(trouble.get_by_role("button", name="Continue")).to_be_visible()
    trouble.get_by_role("button", name="Try again").click()
    person.see("20:")
    expect(person.answers.last.get_by_role("alert")).to_be_hidden()
    person.button("Previous version of this answer").click()
    expect(trouble).to_be_visible()
    person.see("5:")


def test_a_provider_that_refuses_says_why_and_may_be_asked_again(person: Person) -> None:
    ask(person, Script("status", status=401, times=2, tag=person.session))
    trouble = person.answers.last.get_by_role("alert")
    expect(trouble).to_contain_text("key")
    expect(person.answers.last.locator(".facts")).to_have_text("anthropic · instead")  # the one that had the last word
    expect(trouble.get_by_role("button", name="Continue")).to_have_count(0)
    trouble.get_by_role("button", name="Try again").click()
    person.see("20:")


def test_a_model_that_is_in_no_list_can_be_named(person: Person, page: Page) -> None:
    page.get_by_label("Model", exact=True).select_option(label="Another model …")
    page.get_by_label("Name of the model").fill("brand-new-1")
    page.keyboard.press("Enter")
    with page.expect_request(lambda request: request.method == "POST") as asked:
        ask(person, Script(tag=person.session), model="brand-new-1")
    assert json.loads(asked.value.post_data or "")["model"] == "brand-new-1"
    person.see("20:")
    expect(person.answers.last.locator(".facts")).to_contain_text("brand-new-1")


def test_axe_finds_no_fault_in_sources_and_failures(person: Person, page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    ask(person, Script(tag=person.session), model="sonar")
    page.get_by_text("2 sources").click()
    person.see_the_end()
    ask(person, Script("reset", after=5, tag=person.session))
    expect(person.answers.last.get_by_role("alert")).to_be_visible()
    ask(person, Script("status", status=503, retry="seconds:15", tag=person.session))
    expect(page.get_by_text("Trying again")).to_be_visible()
    assert_no_fault(page)
    person.button("Stop").click()


@pytest.mark.parametrize(
    ("ended", "account"),
    [
        ({"finish_reason": "content_filter"}, "The provider ended this answer for what it is about."),
        ({"finish_reason": "stop", "content": ""}, "The model answered with nothing."),
    ],
)
def test_an_answer_that_is_none_says_so(person: Person, page: Page, ended: dict[str, str], account: str) -> None:
    """As the history tells it: what vendors say is tests/providers'."""
    ask(person, Script(tag=person.session))
    person.see_the_end()

    def change(route: Route) -> None:
        history = route.fetch().json()
        history["messages"][-1] |= ended
        route.fulfill(json=history)

    page.route("**/messages?*", change)
    page.evaluate("(owner) => indexedDB.deleteDatabase(`xionimus:${owner}`)", "local")
    page.reload()
    expect(page.get_by_text(account)).to_be_visible()
    expect(person.button("Try again")).to_be_visible()

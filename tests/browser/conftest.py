"""A browser for the page's tests: Debian's Chromium (the one without windows takes half the time), or Playwright's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, sync_playwright

from tests.browser.person import Person
from tests.serving import ServerProcess, running

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
LOOKS: dict[str, Any] = {"viewport": {"width": 1200, "height": 800}, "locale": "en-GB"}


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    # For this folder only: while Playwright runs, its loop is the thread's, and no other test gets one of its own.
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        except Error as error:
            reason = (
                "no Chromium: `apt install chromium-headless-shell`, or `playwright install chromium`, or set CHROMIUM"
            )
            pytest.skip(f"{reason} ({error.message.splitlines()[0]})")
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def page_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Answers slowly enough to be watched."""
    with running(tmp_path_factory.mktemp("page"), XIONIMUS_DEMO_DELAY="0.01") as process:
        yield process


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running(tmp_path_factory.mktemp("mortal"), XIONIMUS_DEMO_DELAY="0.01", XIONIMUS_HEARTBEAT="1") as process:
        yield process


@pytest.fixture
def own_server(mortal: ServerProcess) -> ServerProcess:
    """One that a test may kill; the next one finds it up."""
    if mortal.stopped:
        mortal.start()
    return mortal


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    # Requests that a service worker has seen cannot be held back by a test.
    context = browser.new_context(**LOOKS, service_workers="block")
    yield context
    context.close()


@pytest.fixture
def context_with_worker(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(**LOOKS)
    yield context
    context.close()


@pytest.fixture
def person(context: BrowserContext, page_server: ServerProcess) -> Iterator[Person]:
    person = Person(context.new_page(), page_server.url)
    yield person
    person.assert_nothing_broke()


@pytest.fixture
def impatient(context: BrowserContext, server: ServerProcess) -> Iterator[Person]:
    """Somebody at a server that answers at once."""
    person = Person(context.new_page(), server.url)
    yield person
    person.assert_nothing_broke()


@pytest.fixture
def page(person: Person) -> Page:
    return person.page

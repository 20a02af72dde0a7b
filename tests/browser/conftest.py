"""A browser for the page's tests: Debian's Chromium, or the one that Playwright brings."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
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
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
LOOKS: dict[str, Any] = {"viewport": {"width": 1200, "height": 800}, "locale": "en-GB"}


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    # For this folder only: while Playwright runs, its loop is the thread's, and no other test gets one of its own.
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        except Error as error:
            reason = "no Chromium: `apt install chromium`, or `playwright install chromium`, or set CHROMIUM"
            pytest.skip(f"{reason} ({error.message.splitlines()[0]})")
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def page_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Answers slowly enough to be watched."""
    with running(tmp_path_factory.mktemp("page"), XIONIMUS_DEMO_DELAY="0.02") as process:
        yield process


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """One that a test may kill."""
    with running(tmp_path, XIONIMUS_DEMO_DELAY="0.02", XIONIMUS_HEARTBEAT="1") as process:
        yield process


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
def page(person: Person) -> Page:
    return person.page

"""Somebody who uses the page: what they do and see, by the names that stand on it."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Locator, Page, Request, expect

END_OF_DEMO = "speaks the OpenAI format."
WATCH_SHIFTS = """() => {
    window.shifts = 0;
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
}"""

SHOWS = """(text) => [...document.querySelectorAll("article[aria-label=Answer] .markdown")].at(-1)
    ?.textContent.replace(/\\s+/g, " ").includes(text)"""
ALL_IS_SAID = """() => {
    const those = (label) => [...document.querySelectorAll(`article[aria-label="${label}"]`)];
    const answers = those("Answer");
    const isOver = answers.length && answers.every((answer) => answer.getAttribute("aria-busy") === "false");
    return isOver && !those("Question that has not been sent").length && !document.querySelector("[aria-label=Stop]");
}"""
IS_KEPT = """async ([owner, session, text]) => {
    const done = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
    const database = await done(indexedDB.open(`xionimus:${owner}`, 1));
    const kept = await done(database.transaction("kept").objectStore("kept").get(`history:${session}`));
    database.close();
    return JSON.stringify(kept ?? "").includes(text);
}"""

PAGE_IS_KEPT = """async () => {
    const kept = new Set((await (await caches.open("xionimus-page")).keys()).map(({ url }) => url));
    const parts = performance.getEntriesByType("resource").map(({ name }) => name);
    return kept.size > 0 && parts.filter((url) => url.includes("/static/")).every((url) => kept.has(url));
}"""


class Person:
    def __init__(self, page: Page, url: str, session: str | None = None) -> None:
        self.page = page
        self.url = url
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._hear)
        page.on("request", self._note)
        self.open(session)

    def open(self, session: str | None = None) -> None:
        self.page.goto(f"{self.url}/#{session}" if session else f"{self.url}/")
        expect(self.composer).to_be_visible()

    def turn_to(self, session: str) -> None:
        """Another chat in the same tab."""
        self.page.evaluate("(session) => { location.hash = session; }", session)

    @property
    def session(self) -> str:
        return urlsplit(self.page.url).fragment

    @property
    def composer(self) -> Locator:
        return self.page.get_by_label("Your question")

    @property
    def answers(self) -> Locator:
        return self.page.get_by_role("article", name="Answer", exact=True)

    @property
    def questions(self) -> Locator:
        return self.page.get_by_role("article", name="Question", exact=True)

    @property
    def text(self) -> Locator:
        """Of the last answer."""
        return self.answers.last.locator(".markdown")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def ask(self, question: str, model: str = "demo") -> None:
        self.choose(model)
        self.composer.fill(question)
        if self.page.evaluate("matchMedia('(pointer: coarse)').matches"):
            self.button("Send").tap()
        else:
            self.composer.press("Enter")

    def choose(self, model: str) -> None:
        self.page.get_by_label("Model", exact=True).select_option(label=model)

    def see(self, text: str, timeout: float = 15_000) -> None:
        """In the last answer, as soon as it is there: `expect` looks once a second only."""
        self.page.wait_for_function(SHOWS, arg=text.strip(), timeout=timeout)

    def see_the_end(self, timeout: float = 30_000) -> None:
        """Of the answers to what has been asked, whichever they are."""
        self.page.wait_for_function(ALL_IS_SAID, timeout=timeout)

    def read(self) -> str:
        return self.text.inner_text()

    def until_kept(self, text: str, owner: str = "local") -> None:
        """Until the browser's own cache has so much of the session."""
        self.until(IS_KEPT, [owner, self.session, text])

    def until_forgotten(self, session: str, text: str) -> None:
        self.until(f"async (asked) => !(await ({IS_KEPT})(asked))", ["local", session, text])

    def until_page_is_kept(self) -> None:
        """Until the service worker has all that the page is made of."""
        self.until(PAGE_IS_KEPT)

    def until(self, promised: str, given: object = None) -> None:
        """`wait_for_function` takes a promise itself for a yes."""
        deadline = time.monotonic() + 15
        while not self.page.evaluate(promised, given):
            assert time.monotonic() < deadline
            self.page.wait_for_timeout(100)

    def watch_shifts(self) -> None:
        """Layout shifts are what the browser itself calls so (web.dev/cls)."""
        self.page.evaluate(WATCH_SHIFTS)

    def shifts(self) -> float:
        found: float = self.page.evaluate("window.shifts")
        return found

    def assert_nothing_broke(self) -> None:
        assert self.errors == []
        assert [url for url in self.requests if not url.startswith((self.url, "data:", "blob:"))] == []

    def _hear(self, message: ConsoleMessage) -> None:
        # A browser reports every failed request here; whether the page copes is what the tests look at.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.errors.append(message.text)

    def _note(self, request: Request) -> None:
        self.requests.append(request.url)

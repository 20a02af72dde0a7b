"""What every answer tells the browser; and pages that work under it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, sync_playwright

from tests import plain
from tests.access.people import ADA
from tests.access.raw import exchange, status_of, upgrade
from tests.browser.conftest import CHROMIUM
from tests.serving import ServerProcess

WRITING = """fetch("/api/sessions", {
  method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({id: "by-browser"}),
}).then(answer => answer.status)"""
READING = """new Promise(done =>
  new EventSource("/api/sessions/by-browser/events").addEventListener("ready", () => done(1)))"""
SOCKET = "new Promise(done => new WebSocket(`ws://${location.host}/ws/chat/by-browser`).onmessage = () => done(1))"

EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
PATHS = ["/", "/docs", "/openapi.json", "/healthz", "/api/sessions", "/api/messages/none", "/nowhere", "/sign-in"]
PATHS += ["/static/docs.js", "/static/nowhere.js", "/static/vendor/swagger-ui/swagger-ui.css", "/api/stream/probe"]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_them(server: ServerProcess, path: str) -> None:
    answer = plain.get(server.url + path)
    assert {name: answer.headers.get(name) for name in EVERYWHERE} == EVERYWHERE
    policies = answer.headers.get_list("content-security-policy")
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0]
    assert "frame-ancestors 'none'" in policies[0]
    assert len(answer.headers.get_list("x-content-type-options")) == 1


@pytest.mark.parametrize("path", PATHS)
def test_nobody_on_the_way_keeps_it_but_files_that_never_change(server: ServerProcess, path: str) -> None:
    kept = plain.get(server.url + path).headers.get_list("cache-control")
    assert len(kept) == 1
    is_file = path == "/" or (path.startswith("/static/") and "nowhere" not in path)
    assert ("no-cache" if is_file else "no-store") in kept[0]


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}], ids=str)
def test_refusals_have_them_too(server: ServerProcess, headers: dict[str, str]) -> None:
    answer = plain.post(f"{server.url}/api/sessions", headers=headers)
    assert answer.status_code == 403
    assert {name: answer.headers.get(name) for name in EVERYWHERE} == EVERYWHERE


def test_a_refused_socket_has_them_too(server: ServerProcess) -> None:
    answer = exchange(server, upgrade("/ws/chat/s", "Host: evil.example"))
    assert b"x-content-type-options: nosniff" in answer.lower()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nno header\r\n\r\n", 400),
        (upgrade("/ws/chat/s", "Host: 127.0.0.1", "Cookie: " + "x" * 9_000), 431),
    ],
)
def test_what_is_refused_before_it_is_a_request_has_them_too(
    server: ServerProcess, request_: bytes, status: int
) -> None:
    answer = exchange(server, request_)
    assert status_of(answer) == status
    head = answer.partition(b"\r\n\r\n")[0].decode().lower()
    for name, value in EVERYWHERE.items():
        assert f"{name}: {value}" in head
    assert "content-security-policy: default-src 'none'" in head


def test_each_answer_has_an_id_of_its_own(server: ServerProcess) -> None:
    ids = {plain.get(f"{server.url}/healthz").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


@pytest.fixture
def browser_page() -> object:
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*arguments, "--disable-sync", "--no-first-run"]
        )
        yield browser.new_page()
        browser.close()


def test_docs_work_under_their_policy(server: ServerProcess, browser_page: Page) -> None:
    told: list[str] = []
    browser_page.on("console", lambda message: told.append(message.text) if message.type == "error" else None)
    browser_page.on("pageerror", lambda error: told.append(str(error)))
    browser_page.goto(f"{server.url}/docs")
    browser_page.get_by_text("/healthz").first.click()
    browser_page.get_by_role("button", name="Try it out").click()
    browser_page.get_by_role("button", name="Execute").click()
    browser_page.get_by_text('"status": "ok"').first.wait_for()
    assert told == []


def test_a_person_signs_in_and_out(asking: ServerProcess, browser_page: Page) -> None:
    told: list[str] = []
    browser_page.on("pageerror", lambda error: told.append(str(error)))
    browser_page.goto(f"{asking.url}/docs")
    browser_page.get_by_label("Your token").fill("wrong")
    browser_page.get_by_role("button", name="Sign in").click()
    browser_page.get_by_role("alert").wait_for()
    browser_page.get_by_label("Your token").fill(ADA)
    browser_page.get_by_role("button", name="Sign in").click()
    browser_page.get_by_text("/healthz").first.wait_for()
    assert browser_page.evaluate("document.cookie") == ""
    assert browser_page.evaluate(WRITING) == 201
    assert browser_page.evaluate(READING) == 1
    assert browser_page.evaluate(SOCKET) == 1
    assert browser_page.evaluate("fetch('/sign-out', {method: 'POST'}).then(answer => answer.url)").endswith("/sign-in")
    assert browser_page.evaluate("fetch('/api/sessions').then(answer => answer.status)") == 401
    assert told == []

"""Reloads, lost networks, killed servers: no word twice, none missing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.browser.person import END_OF_DEMO, Person
from tests.browser.wire import Wire
from tests.serving import ServerProcess


@pytest.fixture
def at_own_server(context_with_worker: BrowserContext, own_server: ServerProcess) -> Iterator[Person]:
    person = Person(context_with_worker.new_page(), own_server.url)
    yield person
    person.assert_nothing_broke()


def content_on(server: ServerProcess, session: str) -> str:
    messages = httpx.get(f"{server.url}/api/sessions/{session}/messages").json()["messages"]
    content: str = messages[-1]["content"]
    return content


SENDS = "**/api/sessions/*/messages"


def lose_questions(page: Page) -> None:
    page.route(SENDS, lambda route: route.abort() if route.request.method == "POST" else route.continue_())


def assert_numbered_without_gaps(text: str) -> None:
    numbers = [int(each) for each in re.findall(r"^(?:## )?(\d{4}) ", text, re.MULTILINE)]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 1


def test_a_reload_in_the_middle_loses_nothing(person: Person, page: Page, page_server: ServerProcess) -> None:
    person.ask("Go", model="long")
    for number in ("0040", "0080", "0120"):
        person.see(f"{number} ")
        page.reload()
    person.see("0150 ")
    person.button("Stop").click()
    person.see_the_end()
    assert_numbered_without_gaps(person.read())
    page.wait_for_timeout(300)
    assert written(person) == squeezed(content_on(page_server, person.session))


def written(person: Person) -> str:
    """What stands on the page, without what Markdown turns into form."""
    return squeezed(person.read().replace("python\nCopy\n", ""))


def squeezed(text: str) -> str:
    return re.sub(r"[\s*#-]|```(python)?", "", text)


def test_the_seconds_go_on_counting_after_a_reload(person: Person, page: Page) -> None:
    person.ask("word " * 5_000, model="echo")
    seconds = page.locator(".progress").get_by_text(re.compile(r"^\d+ s$"))
    expect(seconds).to_have_text(re.compile("^[3-9] s"))
    person.until_kept("word word")
    page.reload()
    assert int(seconds.inner_text().split()[0]) >= 3
    person.button("Stop").click()


def test_a_killed_server_comes_back_and_so_does_the_page(at_own_server: Person, own_server: ServerProcess) -> None:
    person = at_own_server
    person.ask("Go", model="long")
    person.see("0040 ")
    own_server.kill()
    expect(person.page.get_by_title("Connection")).to_contain_text("Reconnecting")
    seen = person.read()
    own_server.start()
    expect(person.answers.last).to_contain_text("cut short", timeout=30_000)
    assert written(person).startswith(squeezed(seen.replace("python\nCopy\n", ""))[:-20])
    person.button("Continue").click()
    expect(person.answers).to_have_count(2)
    person.see("0001 ")


def test_a_chat_that_has_not_begun_says_that_the_server_is_away(
    at_own_server: Person, own_server: ServerProcess
) -> None:
    badge = at_own_server.page.get_by_title("Connection")
    expect(badge).to_contain_text("Ready")
    at_own_server.until_page_is_kept()
    own_server.kill()
    at_own_server.page.reload()
    expect(badge).to_contain_text("Reconnecting", timeout=10_000)
    own_server.start()
    expect(badge).to_contain_text("Ready", timeout=20_000)


@pytest.mark.parametrize("how", ["cut", "silence"])
def test_a_lost_network_is_noticed_and_made_up_for(
    context: BrowserContext, own_server: ServerProcess, how: str
) -> None:
    with Wire(own_server.port) as wire:
        person = Person(context.new_page(), wire.url)
        person.ask("Hello")
        person.see("No AI is answering")
        wire.lose(how)
        expect(person.page.get_by_title("Connection")).to_contain_text("Reconnecting", timeout=20_000)
        wire.restore()
        person.see(END_OF_DEMO, timeout=40_000)
        assert person.read().count("This is a demonstration") == 1


def test_an_offline_browser_says_so(person: Person, context: BrowserContext, page: Page) -> None:
    context.set_offline(True)
    expect(page.get_by_title("Connection")).to_contain_text("Offline")
    context.set_offline(False)
    expect(page.get_by_title("Connection")).not_to_contain_text("Offline")


def test_who_is_signed_out_is_told_so_and_keeps_what_was_said(person: Person, page: Page) -> None:
    person.ask("still here", model="echo")
    person.see("still here")
    person.see_the_end()
    person.until_kept('"status":"completed","content":"still here')
    problem = {"code": "unauthorized", "status": 401, "title": "Sign in first", "detail": "", "retryable": False}
    page.route("**/api/**", lambda route: route.fulfill(status=401, json=problem))
    page.reload()
    expect(page.get_by_role("link", name="Sign in")).to_have_attribute("href", f"/sign-in?next=/%23{person.session}")
    person.see("still here")
    expect(page.get_by_text("This chat has been deleted.")).to_be_hidden()
    page.unroute("**/api/**")
    expect(page.get_by_role("link", name="Sign in")).to_be_hidden()


def test_what_was_typed_survives_a_reload(person: Person, page: Page) -> None:
    person.composer.fill("not sent yet")
    page.reload()
    expect(person.composer).to_have_value("not sent yet")


def test_a_question_that_could_not_be_sent_stays_and_is_sent_once(
    at_own_server: Person, own_server: ServerProcess
) -> None:
    person, page = at_own_server, at_own_server.page
    person.ask("one", model="echo")
    person.see("one")
    person.see_the_end()
    own_server.kill()
    keys: list[str] = []
    page.on("request", lambda request: keys.append(request.headers.get("idempotency-key", "")))
    person.ask("two", model="echo")
    expect(page.get_by_text("Not sent. The server cannot be reached.")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Not sent. The server cannot be reached.")).to_be_visible()
    own_server.start()
    person.see("two", timeout=40_000)
    expect(person.questions).to_have_count(2)
    assert len({key for key in keys if key}) == 1


def test_a_question_that_failed_is_sent_again_by_hand(person: Person, page: Page) -> None:
    lose_questions(page)
    person.ask("again", model="echo")
    expect(page.get_by_text("Not sent.")).to_be_visible()
    page.unroute(SENDS)
    person.button("Try again").click()
    person.see("again")
    expect(page.get_by_text("Not sent.")).to_be_hidden()


REFUSALS = {
    "draining": (503, "the server is about to stop; try again in a moment"),
    "storage_unavailable": (503, "the database file /srv/x.db, or its -wal, was moved or deleted"),
    "internal": (500, "the database does not work"),
    "unauthorized": (401, "send your token as `Authorization: Bearer TOKEN`, or sign in"),
    "provider_not_configured": (422, "OpenAI needs an API key. Set it, or send one of your own as api_keys.openai."),
}


def refuse_questions(page: Page, code: str) -> None:
    status, detail = REFUSALS[code]
    problem = {"code": code, "status": status, "title": code, "detail": detail, "retryable": False}
    page.route(SENDS, lambda route: route.fulfill(status=status, json=problem))


def be_slow(route: Route) -> None:
    route.request.frame.page.wait_for_timeout(700)
    route.continue_()


def test_who_has_to_sign_in_to_ask_is_led_there(person: Person, page: Page) -> None:
    refuse_questions(page, "unauthorized")
    person.ask("may I?", model="echo")
    note = page.get_by_role("article", name="Question that has not been sent")
    expect(note).to_contain_text("Not sent. You are signed out.")
    expect(note.get_by_role("link", name="Sign in")).to_have_attribute("href", f"/sign-in?next=/%23{person.session}")
    assert "Bearer" not in page.content()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("internal", "Not sent. The database does not work. It will be tried again."),
        ("draining", "Not sent. The server is about to start again. It will be tried again."),
        ("storage_unavailable", "Not sent. The server can keep nothing at the moment; its disk may be full. It will"),
    ],
)
def test_why_a_question_is_not_sent_is_said_in_words_for_people(
    person: Person, page: Page, code: str, said: str
) -> None:
    refuse_questions(page, code)
    person.ask("may I?", model="echo")
    expect(page.get_by_label("Question that has not been sent")).to_contain_text(said)


def test_who_has_signed_in_again_need_not_ask_again(person: Person, page: Page) -> None:
    refuse_questions(page, "unauthorized")
    person.ask("still wanted", model="echo")
    expect(page.get_by_label("Question that has not been sent")).to_contain_text("You are signed out.")
    page.unroute(SENDS)
    page.reload()  # as the way back from the page to sign in at
    person.see("still wanted")
    expect(person.questions).to_have_count(1)


def test_who_needs_a_key_is_led_to_where_one_is_given(person: Person, page: Page) -> None:
    refuse_questions(page, "provider_not_configured")
    person.ask("may I?", model="echo")
    note = page.get_by_role("article", name="Question that has not been sent")
    expect(note).to_contain_text("Not sent. The provider needs a key.")
    assert "api_keys" not in page.content()
    note.get_by_role("button", name="Settings").click()
    expect(page.get_by_label("OpenAI")).to_be_visible()


def test_so_is_the_first_question_of_a_chat(at_own_server: Person, own_server: ServerProcess) -> None:
    person, page = at_own_server, at_own_server.page
    person.button("New chat").click()
    person.choose("echo")
    own_server.kill()
    person.ask("first of all", model="echo")
    expect(page.get_by_text("It will be sent when the server is back.")).to_be_visible()
    row = page.locator(".session", has_text="first of all")
    expect(row).to_contain_text("not sent")
    own_server.start()
    person.see("first of all", timeout=15_000)
    expect(person.questions).to_have_count(1)
    expect(row).not_to_contain_text("not sent")
    expect(row).to_have_count(1)


def test_a_chat_that_was_never_sent_is_found_again_or_deleted(at_own_server: Person, own_server: ServerProcess) -> None:
    person, page = at_own_server, at_own_server.page
    person.choose("echo")
    person.until_page_is_kept()
    own_server.kill()
    asked = ("the one to keep", "the one to delete")
    for question in asked:
        person.button("New chat").click()
        person.ask(question, model="echo")
        expect(page.get_by_text("It will be sent when the server is back.")).to_be_visible()
    person.button("New chat").click()
    page.reload()
    expect(page.get_by_label("Model", exact=True).locator("option:checked")).to_have_text("echo")
    keep, delete = (page.locator(".session", has_text=question) for question in asked)
    delete.hover()
    delete.get_by_title("Delete").click()
    keep.get_by_role("link").click()
    expect(person.page.get_by_label("Question that has not been sent")).to_contain_text("the one to keep")
    expect(page.get_by_role("heading", level=1)).to_have_text("the one to keep")
    expect(person.button("Undo")).to_be_hidden(timeout=10_000)
    expect(delete).to_be_hidden()
    own_server.start()
    person.see("the one to keep", timeout=15_000)
    expect(keep).not_to_contain_text("not sent")
    titles = [session["title"] for session in httpx.get(f"{own_server.url}/api/sessions").json()["sessions"]]
    assert "the one to keep" in titles
    assert "the one to delete" not in titles


@pytest.mark.parametrize("reloaded", [False, True])
def test_a_stop_that_could_not_be_sent_is_sent_later(
    person: Person, page: Page, page_server: ServerProcess, reloaded: bool
) -> None:
    page.route("**/cancel", lambda route: route.abort())
    person.ask("word " * 5_000, model="echo")
    person.see("word word")
    person.button("Stop").click()
    expect(page.get_by_text("Not stopped yet; it will be tried again. The server cannot be reached.")).to_be_visible()
    expect(page.get_by_text("Stopping …")).to_be_visible()
    if reloaded:
        page.reload()
        expect(page.get_by_text("Stopping …")).to_be_visible()
    page.unroute("**/cancel")
    expect(page.get_by_text("You stopped this answer here.")).to_be_visible(timeout=15_000)
    assert page.evaluate("Object.entries(localStorage).find(([name]) => name.endsWith(':stopping'))[1]") == "[]"
    messages = httpx.get(f"{page_server.url}/api/sessions/{person.session}/messages").json()["messages"]
    assert messages[-1]["status"] == "cancelled"


def test_a_deletion_that_the_server_has_not_heard_of_is_carried_out_later(
    at_own_server: Person, own_server: ServerProcess
) -> None:
    person, page = at_own_server, at_own_server.page
    person.ask("to be forgotten", model="echo")
    person.see("to be forgotten")
    person.see_the_end()
    session = f"{own_server.url}/api/sessions/{person.session}"
    person.until_page_is_kept()
    own_server.kill()
    row = page.locator(".session", has_text="to be forgotten")
    row.hover()
    row.get_by_title("Delete").click()
    page.reload()
    expect(page.get_by_label("Your question")).to_be_visible()
    expect(row).to_have_count(0)
    own_server.start()
    person.until("() => Object.entries(localStorage).find(([name]) => name.endsWith(':deleting'))[1] === '[]'")
    assert httpx.get(session).status_code == 404
    expect(row).to_have_count(0)


@pytest.mark.parametrize("value", ["nope", "{}", "[]", '[{"key":"k"}]', '{"providers":null}', "5"])
def test_what_nobody_of_ours_has_kept_breaks_nothing(
    context: BrowserContext, page_server: ServerProcess, value: str
) -> None:
    names = ["outbox:x", "providers", "stopping", "deleting", "leaf:x", "theme"]
    init = "for (const name of %s) localStorage.setItem(`xionimus:local:${name}`, %s);"
    context.add_init_script(init % (json.dumps(names), json.dumps(value)))
    person = Person(context.new_page(), page_server.url)
    person.ask("all the same", model="echo")
    person.see("all the same")
    person.assert_nothing_broke()


@pytest.mark.parametrize("network", ["gone", "gone and reloaded", "slow"])
def test_questions_that_wait_for_each_other_are_one_conversation(
    at_own_server: Person, own_server: ServerProcess, network: str
) -> None:
    person, page = at_own_server, at_own_server.page
    person.ask("begun", model="echo")
    person.see("begun")
    person.see_the_end()
    if network == "slow":
        page.route(SENDS, be_slow)
    else:
        person.until_page_is_kept()
        own_server.kill()
    for question in ("one", "two", "three"):
        person.ask(question, model="echo")
    if network != "slow":
        expect(page.get_by_text("It will be sent when the server is back.")).to_have_count(3)
        if "reloaded" in network:
            page.reload()
            expect(page.get_by_text("It will be sent when the server is back.")).to_have_count(3)
        own_server.start()
    expect(person.questions).to_have_text(
        [re.compile(word) for word in ("begun", "one", "two", "three")], timeout=20_000
    )
    person.see("three")
    messages = httpx.get(f"{own_server.url}/api/sessions/{person.session}/messages").json()["messages"]
    assert [message["parent_id"] for message in messages] == [None, *(message["id"] for message in messages[:-1])]


def test_a_new_version_that_waits_stays_one(at_own_server: Person, own_server: ServerProcess) -> None:
    person, page = at_own_server, at_own_server.page
    person.ask("begun", model="echo")
    person.see("begun")
    person.see_the_end()
    own_server.kill()
    for question in ("one", "two"):
        person.ask(question, model="echo")
    person.questions.first.hover()
    person.button("Edit the question").click()
    editor = page.get_by_role("textbox", name="Edit the question")
    expect(editor).to_be_focused()
    editor.fill("begun anew")
    person.button("Send as a new version").click()
    expect(page.get_by_text("It will be sent when the server is back.")).to_have_count(3)
    own_server.start()
    person.see("begun anew", timeout=20_000)
    messages = httpx.get(f"{own_server.url}/api/sessions/{person.session}/messages").json()["messages"]
    parents = {message["content"]: message["parent_id"] for message in messages if message["role"] == "user"}
    assert parents == {"begun": None, "one": messages[1]["id"], "two": messages[3]["id"], "begun anew": None}


@pytest.mark.parametrize("reloaded", [False, True])
def test_a_question_is_sent_though_another_chat_is_in_view(
    at_own_server: Person, own_server: ServerProcess, reloaded: bool
) -> None:
    person, page = at_own_server, at_own_server.page
    person.ask("begun", model="echo")
    person.see("begun")
    person.see_the_end()
    begun = person.session
    person.until_page_is_kept()
    own_server.kill()
    promise = page.get_by_text("It will be sent when the server is back.")
    person.ask("and then", model="echo")
    expect(promise).to_be_visible()
    person.button("New chat").click()
    person.ask(f"only in the outbox, {reloaded}", model="echo")
    expect(promise).to_be_visible()
    person.button("New chat").click()
    if reloaded:
        page.reload()
    own_server.start()
    expect(page.locator(".session", has_text=f"only in the outbox, {reloaded}")).to_be_visible(timeout=20_000)
    person.until("() => !Object.keys(localStorage).some((name) => name.includes('outbox'))")
    messages = httpx.get(f"{own_server.url}/api/sessions/{begun}/messages").json()["messages"]
    assert [message["content"] for message in messages if message["role"] == "user"] == ["begun", "and then"]


def test_a_question_waiting_in_a_deleted_chat_does_not_bring_it_back(
    person: Person, page: Page, page_server: ServerProcess
) -> None:
    person.ask("to go", model="echo")
    person.see("to go")
    person.see_the_end()
    session = person.session
    lose_questions(page)
    person.ask("never sent", model="echo")
    expect(page.get_by_text("It will be sent when the server is back.")).to_be_visible()
    row = page.locator(".session.current")
    row.hover()
    row.get_by_title("Delete").click()
    page.goto("about:blank")
    page.unroute(SENDS)
    person.open()
    page.wait_for_timeout(500)
    assert httpx.get(f"{page_server.url}/api/sessions/{session}").status_code == 404


BLOCK = """{
    const refuse = () => { throw new DOMException("denied", "SecurityError"); };
    for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(window, name, { get: refuse });
    IDBFactory.prototype.open = refuse;
    LockManager.prototype.request = LockManager.prototype.query = async () => refuse();
}"""
FILL = """() => {
    for (const storage of [localStorage, sessionStorage]) {
        let [text, count] = ["x".repeat(1 << 20), 0];
        while (text) {
            try {
                storage.setItem(`filled ${count++}`, text);
            } catch {
                text = text.slice(text.length >> 1 || 1);
            }
        }
    }
}"""


def test_who_blocks_the_browsers_storage_can_ask(context: BrowserContext, page_server: ServerProcess) -> None:
    context.add_init_script(BLOCK)
    person = Person(context.new_page(), page_server.url)
    person.ask("without a storage", model="echo")
    person.see("without a storage")
    person.see_the_end()
    lose_questions(person.page)
    person.ask("kept meanwhile", model="echo")
    expect(person.page.get_by_text("Not sent.")).to_be_visible()
    person.composer.fill("a draft")
    person.button("New chat").click()
    expect(person.composer).to_have_value("")
    person.page.go_back()
    expect(person.composer).to_have_value("a draft")
    person.page.wait_for_timeout(5_500)  # the tabs are counted every five seconds
    person.page.unroute(SENDS)  # and is sent by itself, in a moment
    person.see("kept meanwhile")
    person.assert_nothing_broke()


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_full_storage_loses_nothing(context: BrowserContext, page_server: ServerProcess, when: str) -> None:
    page = context.new_page()
    page.goto(f"{page_server.url}/healthz")
    if when == "before":
        page.evaluate(FILL)
    person = Person(page, page_server.url)
    if when == "meanwhile":
        page.evaluate(FILL)
    lose_questions(page)
    person.choose("echo")
    person.composer.press_sequentially("Is there room?")
    expect(person.composer).to_have_value("Is there room?")
    person.composer.press("Enter")
    expect(page.get_by_text("Not sent.")).to_be_visible()
    page.unroute(SENDS)
    person.button("Try again").click()
    person.see("Is there room?")
    expect(person.questions).to_have_count(1)
    person.assert_nothing_broke()


@pytest.mark.parametrize("by_key", [False, True])
def test_a_question_that_was_discarded_comes_back_if_one_likes(person: Person, page: Page, by_key: bool) -> None:
    lose_questions(page)
    person.ask("once more, please", model="echo")
    person.button("Discard").click()
    expect(page.get_by_label("Question that has not been sent")).to_have_count(0)
    if by_key:
        page.keyboard.press("Control+z")
    else:
        person.button("Undo").click()
    expect(page.get_by_text("Not sent.")).to_be_visible()
    page.unroute(SENDS)
    person.button("Try again").click()
    person.see("once more, please")


def test_a_question_that_was_refused_is_edited_and_sent(person: Person, page: Page) -> None:
    person.choose("echo")
    person.composer.fill("too long " * 130_000)
    person.composer.press("Enter")
    expect(page.get_by_text("Not sent.")).to_be_visible()
    expect(page.get_by_text("It is longer than this server takes.")).to_be_visible()
    expect(page.get_by_text("when the server is back")).to_be_hidden()
    person.button("Edit").click()
    page.get_by_label("Edit the question").fill("short enough")
    person.button("Send").first.click()
    person.see("short enough")
    expect(page.get_by_text("Not sent.")).to_be_hidden()
    expect(person.questions).to_have_count(1)


def test_an_answer_lost_on_its_way_back_is_not_asked_for_twice(
    person: Person, page: Page, page_server: ServerProcess
) -> None:
    def lose(route: object) -> None:
        httpx.post(  # the question arrives, the server's answer does not
            route.request.url,  # type: ignore[attr-defined]
            content=route.request.post_data,  # type: ignore[attr-defined]
            headers={
                "content-type": "application/json",
                "idempotency-key": route.request.headers["idempotency-key"],  # type: ignore[attr-defined]
            },
        )
        route.abort()  # type: ignore[attr-defined]

    sends = re.compile(r"/messages$")
    page.route(sends, lose)
    person.ask("only once", model="echo")
    expect(page.get_by_text("Not sent.")).to_be_visible()
    page.unroute(sends)
    person.button("Try again").click()
    person.see("only once")
    expect(person.questions).to_have_count(1)
    messages = httpx.get(f"{page_server.url}/api/sessions/{person.session}/messages").json()["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant"]


def test_the_last_chat_shows_at_once_without_a_network(at_own_server: Person, own_server: ServerProcess) -> None:
    person = at_own_server
    person.ask("kept words", model="echo")
    person.see("kept words")
    person.see_the_end()
    person.until_kept('"status":"completed","content":"kept words')
    person.until_page_is_kept()
    own_server.kill()
    person.open()
    person.see("kept words", timeout=5_000)
    own_server.start()
    person.ask("and more", model="echo")
    person.see("and more", timeout=40_000)


def test_a_page_opened_again_asks_for_none_of_its_files(context: BrowserContext, page_server: ServerProcess) -> None:
    first = Person(context.new_page(), page_server.url)
    assert sum("/static/" in request for request in first.requests) > 50
    again = Person(context.new_page(), page_server.url)
    fetched = again.page.evaluate(
        """() => performance.getEntriesByType("resource").filter(({ transferSize }) => transferSize > 0)
            .map(({ name }) => new URL(name).pathname)"""
    )
    assert [path for path in fetched if path.startswith("/static/")] == []


def test_files_of_an_earlier_version_are_not_kept(at_own_server: Person) -> None:
    person = at_own_server
    person.until_page_is_kept()
    old = "/static/@000000000000/main.js"
    person.page.evaluate("async (old) => (await caches.open('xionimus-page')).put(old, new Response(''))", old)
    person.open()
    person.until("async (old) => !(await (await caches.open('xionimus-page')).match(old))", old)
    person.until_page_is_kept()


def test_a_cursor_the_server_no_longer_has_is_no_trouble(at_own_server: Person, own_server: ServerProcess) -> None:
    person = at_own_server
    person.ask("before", model="echo")
    person.see("before")
    person.see_the_end()
    person.until_kept('"content":"before')
    person.page.evaluate("""async () => {
        const opening = indexedDB.open("xionimus:local", 1);
        await new Promise((resolve) => (opening.onsuccess = resolve));
        const store = opening.result.transaction("kept", "readwrite").objectStore("kept");
        const name = `history:${location.hash.slice(1)}`;
        const reading = store.get(name);
        await new Promise((resolve) => (reading.onsuccess = resolve));
        store.put({ ...reading.result, cursor: "elsewhere-7" }, name);
        onpagehide = null;
    }""")
    with httpx.Client(base_url=own_server.url) as client:
        body = {"content": "meanwhile", "model": "echo"}
        client.post(f"/api/sessions/{person.session}/messages", json=body, params={"wait": 5})
    person.page.evaluate("location.hash = ''")
    person.page.goto("about:blank")
    person.open()
    person.see("meanwhile")
    expect(person.questions).to_have_count(2)

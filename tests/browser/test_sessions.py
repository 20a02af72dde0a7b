"""The list of chats, and the keyboard."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.person import Person
from tests.serving import ServerProcess


def ask_over_http(server: ServerProcess, question: str) -> str:
    session = f"list-{uuid.uuid4().hex}"
    url = f"{server.url}/api/sessions/{session}/messages"
    httpx.post(url, json={"content": question, "model": "echo"}, params={"wait": 10}).raise_for_status()
    return session


def test_a_chat_is_found_by_what_was_said_in_it(person: Person, page: Page, page_server: ServerProcess) -> None:
    word = uuid.uuid4().hex
    ask_over_http(page_server, f"Look for {word}")
    page.get_by_label("Search chats").fill(word)
    expect(page.locator(".session")).to_have_count(1)
    expect(page.locator(".session")).to_contain_text("Look for")
    page.get_by_label("Search chats").fill("nobody ever said this")
    expect(page.get_by_text("Nothing found")).to_be_visible()


@pytest.mark.parametrize("key", ["Enter", "ArrowDown"])
def test_the_first_chat_found_is_one_key_away(person: Person, page: Page, page_server: ServerProcess, key: str) -> None:
    word = uuid.uuid4().hex
    session = ask_over_http(page_server, f"Found by {word}")
    ask_over_http(page_server, "Newer, and not looked for")
    page.reload()
    expect(page.locator(".session").first).to_contain_text("Newer")
    page.keyboard.press("Control+k")
    page.keyboard.type(word)
    page.keyboard.press(key)  # before the list is what is looked for
    if key == "Enter":
        person.see(f"Found by {word}")
        expect(person.composer).to_be_focused()
        assert person.session == session
    else:
        expect(page.locator(f".session a[href='#{session}']")).to_be_focused()
        expect(page.locator(".session")).to_have_count(1)
        assert person.session != session


def test_a_key_for_what_is_not_looked_for_any_more_opens_nothing(person: Person, page: Page) -> None:
    list_many(page, 3)
    expect(page.locator(".session")).to_have_count(3)
    session = person.session
    held: list[Route] = []
    page.route("**/api/sessions?q=first*", lambda route: held.append(route))  # noqa: PLW0108
    search = page.get_by_label("Search chats")
    with page.expect_request("**/api/sessions?q=first*"):
        search.fill("first")
        search.press("Enter")
    with page.expect_response("**/api/sessions?q=second*"):
        search.fill("second")
    search.press("ArrowDown")
    expect(page.get_by_role("link", name="Chat 0")).to_be_focused()
    assert person.session == session


def test_a_search_takes_nothing_from_the_chat_in_view(person: Person, page: Page, page_server: ServerProcess) -> None:
    person.open(ask_over_http(page_server, "In view"))
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("In view")
    page.get_by_label("Search chats").fill("nobody ever said this")
    expect(page.get_by_text("Nothing found")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("In view")


def test_a_chat_is_renamed(person: Person, page: Page, page_server: ServerProcess) -> None:
    session = ask_over_http(page_server, "Old name")
    person.open(session)
    page.reload()
    row = page.locator(".session.current")
    row.hover()
    row.get_by_title("Rename").click()
    page.get_by_label("Title").fill("New name")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("New name")
    assert httpx.get(f"{page_server.url}/api/sessions/{session}").json()["title"] == "New name"


def list_many(page: Page, count: int = 620) -> list[str]:
    """So many chats, the newest first, of which any may be changed."""
    titles = [f"Chat {number}" for number in range(count)]

    def listed(route: Route) -> None:
        asked = parse_qs(urlsplit(route.request.url).query)
        limit = int(asked["limit"][0])
        if limit > 500:
            return route.fulfill(status=422, json={"code": "invalid_request", "status": 422, "title": "Too many"})
        first = int(asked["before"][0].removeprefix("chat-")) + 1 if "before" in asked else 0
        chats = []
        for number, title in list(enumerate(titles))[first : first + limit]:
            at = f"2026-01-01T{23 - number // 60:02}:{59 - number % 60:02}:00Z"
            chats.append({"id": f"chat-{number}", "title": title, "created_at": at, "updated_at": at, "active": []})
        return route.fulfill(json={"sessions": chats, "has_more": first + limit < count, "owner": "local"})

    page.route("**/api/sessions?*", listed)
    page.reload()
    return titles


def stop_the_clock(page: Page) -> None:
    page.clock.install()
    page.clock.pause_at(page.evaluate("() => Date.now() + 1000"))


def test_a_long_list_is_kept_up_to_date(person: Person, page: Page) -> None:
    titles = list_many(page)
    rows = page.locator(".session")
    for count in range(50, 600, 50):
        expect(rows).to_have_count(count)
        person.button("Show more").click()
        page.wait_for_timeout(550)  # what follows sooner is a double click
    expect(rows).to_have_count(600)
    titles[3] = "Another title"
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(rows.nth(3)).to_contain_text("Another title")
    expect(rows).to_have_count(600)
    person.button("Show more").click()
    expect(rows).to_have_count(620)
    expect(person.button("Show more")).to_be_hidden()
    page.get_by_label("Search chats").fill("something")
    expect(rows).to_have_count(500)


def test_a_chat_that_is_too_old_for_the_list_has_its_title(
    person: Person, page: Page, page_server: ServerProcess
) -> None:
    list_many(page)
    session = ask_over_http(page_server, "A question of long ago")  # this browser has not listed it before
    with page.expect_response(f"**/api/sessions/{session}"):
        person.open(session)
    expect(page.locator(".session")).to_have_count(50)
    expect(page.get_by_role("heading", name="A question of long ago")).to_be_visible()
    expect(page).to_have_title("A question of long ago · Xionimus")


def test_a_double_click_shows_more_chats_once(person: Person, page: Page) -> None:
    list_many(page)
    more = person.button("Show more")
    more.dblclick()
    rows = page.locator(".session")
    expect(rows).to_have_count(100)
    page.wait_for_timeout(600)
    expect(rows).to_have_count(100)
    assert len(set(page.evaluate("[...document.querySelectorAll('.session a')].map((link) => link.hash)"))) == 100


def test_a_deletion_can_be_undone_for_a_while(person: Person, page: Page, page_server: ServerProcess) -> None:
    title = f"Delete me {uuid.uuid4().hex}"
    session = ask_over_http(page_server, title)
    page.clock.install()
    page.reload()
    row = page.locator(".session", has_text=title)
    delete = row.get_by_title("Delete")
    row.hover()
    delete.click()
    expect(row).to_be_hidden()
    toast, field = page.locator(".toast").bounding_box(), page.locator(".composer").bounding_box()
    assert toast
    assert field
    assert toast["y"] + toast["height"] < field["y"]
    person.button("Undo").click()
    expect(row).to_be_visible()
    row.hover()
    delete.click()
    expect(row).to_be_hidden()
    with page.expect_response(lambda response: response.request.method == "DELETE"):
        page.clock.fast_forward(6_000)
    assert httpx.get(f"{page_server.url}/api/sessions/{session}").status_code == 404


@pytest.mark.parametrize("by", ["pointer", "focus"])
def test_who_is_at_undo_has_time(person: Person, page: Page, page_server: ServerProcess, by: str) -> None:
    session = ask_over_http(page_server, f"No hurry {uuid.uuid4().hex}")
    page.clock.install()
    page.reload()
    row = page.locator(".session", has_text="No hurry").first
    row.hover()
    row.get_by_title("Delete").click()
    undo = person.button("Undo")
    if by == "pointer":
        page.locator(".toast").hover()
    else:
        undo.focus()
    for _ in range(3):
        page.clock.fast_forward(6_000)
    expect(undo).to_be_visible()
    if by == "pointer":
        page.mouse.move(600, 500)
    else:
        person.composer.focus()
    page.clock.fast_forward(4_000)
    expect(undo).to_be_visible()
    with page.expect_response(lambda response: response.request.method == "DELETE"):
        page.clock.fast_forward(2_000)
    expect(undo).to_be_hidden()
    assert httpx.get(f"{page_server.url}/api/sessions/{session}").status_code == 404


def test_deletions_are_undone_by_a_key_the_last_one_first(person: Person, page: Page) -> None:
    list_many(page, 3)
    rows = page.locator(".session")
    expect(rows).to_have_count(3)
    stop_the_clock(page)
    for left in (2, 1):
        rows.first.hover()
        rows.first.get_by_title("Delete").click()
        expect(rows).to_have_count(left)
    page.keyboard.press("Control+z")
    expect(rows).to_contain_text(["Chat 1", "Chat 2"])
    page.keyboard.press("Control+z")
    expect(rows).to_contain_text(["Chat 0", "Chat 1", "Chat 2"])
    expect(person.button("Undo")).to_have_count(0)


def test_the_key_undoes_what_is_being_typed_before(person: Person, page: Page) -> None:
    list_many(page, 2)
    rows = page.locator(".session")
    expect(rows).to_have_count(2)
    stop_the_clock(page)
    rows.first.hover()
    rows.first.get_by_title("Delete").click()
    person.composer.press_sequentially("words")
    person.composer.press("Control+z")
    expect(person.composer).not_to_have_value("words")
    expect(rows).to_have_count(1)
    person.composer.fill("")
    person.composer.press("Control+z")
    expect(rows).to_have_count(2)


def test_a_deletion_under_way_is_not_offered_to_be_undone(
    person: Person, page: Page, page_server: ServerProcess
) -> None:
    title = f"On its way {uuid.uuid4().hex}"
    session = ask_over_http(page_server, title)
    page.clock.install()
    page.reload()
    row = page.locator(".session", has_text=title)
    row.hover()
    row.get_by_title("Delete").click()
    expect(person.button("Undo")).to_be_visible()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(f"**/api/sessions/{session}", hold)
    page.clock.fast_forward(6_000)
    expect(person.button("Undo")).to_be_hidden()
    expect(row).to_be_hidden()
    with page.expect_response(lambda response: response.request.method == "DELETE"):
        held[0].continue_()
    page.clock.fast_forward(1_000)
    expect(row).to_be_hidden()
    assert httpx.get(f"{page_server.url}/api/sessions/{session}").status_code == 404


def test_a_deletion_is_carried_out_by_leaving(person: Person, page: Page, page_server: ServerProcess) -> None:
    title = f"Left behind {uuid.uuid4().hex}"
    session = ask_over_http(page_server, title)
    page.reload()
    row = page.locator(".session", has_text=title)
    row.hover()
    row.get_by_title("Delete").click()
    page.goto("about:blank")
    page.wait_for_timeout(300)
    assert httpx.get(f"{page_server.url}/api/sessions/{session}").status_code == 404


def test_a_chat_deleted_elsewhere_says_so(person: Person, page: Page, page_server: ServerProcess) -> None:
    person.ask("soon gone")
    person.see("No AI is answering")
    person.button("Stop").click()
    buttons = [person.button(name) for name in ("Continue", "Try again", "Answer again", "Edit the question", "Export")]
    person.questions.hover()
    for button in buttons:
        expect(button).to_be_visible()
    httpx.delete(f"{page_server.url}/api/sessions/{person.session}").raise_for_status()
    expect(page.get_by_text("This chat has been deleted.")).to_be_visible()
    for button in buttons:
        expect(button).to_have_count(0)
    expect(person.button("Copy the answer")).to_be_visible()


@pytest.mark.parametrize("place", ["Your question", "Edit the question"])
def test_what_is_typed_in_a_chat_deleted_elsewhere_begins_another_one(
    person: Person, page: Page, page_server: ServerProcess, place: str
) -> None:
    person.ask("soon gone", model="echo")
    person.see_the_end()
    session = person.session
    person.questions.hover()
    if place == "Edit the question":
        person.button(place).click()
    field = page.get_by_role("textbox", name=place)
    field.fill("not for nothing")
    httpx.delete(f"{page_server.url}/api/sessions/{session}").raise_for_status()
    expect(page.get_by_text("This chat has been deleted.")).to_be_visible()
    expect(field).to_have_value("not for nothing")
    field.press("Enter")
    person.see("not for nothing")
    expect(person.questions).to_have_text(["not for nothing"])
    expect(person.composer).to_have_value("")
    assert person.session != session
    assert httpx.get(f"{page_server.url}/api/sessions/{session}").status_code == 404


def test_a_look_at_the_connection_does_not_bring_it_back(
    person: Person, page: Page, page_server: ServerProcess
) -> None:
    person.ask("gone for good", model="echo")
    person.see("gone for good")
    person.see_the_end()
    session = f"{page_server.url}/api/sessions/{person.session}"
    httpx.delete(session).raise_for_status()
    expect(page.get_by_text("This chat has been deleted.")).to_be_visible()
    with page.expect_websocket() as socket:
        page.get_by_title("Connection").click()
    if not socket.value.is_closed():
        socket.value.wait_for_event("close")
    page.wait_for_timeout(1_500)  # by then it would have come back
    assert httpx.get(session).status_code == 404


def test_the_text_of_a_chat_deleted_elsewhere_leaves_the_browser(
    person: Person, page: Page, page_server: ServerProcess
) -> None:
    person.ask("private words", model="echo")
    person.see("private words")
    person.see_the_end()
    session = person.session
    person.until_kept('"status":"completed","content":"private words')
    person.button("New chat").click()
    page.goto("about:blank")
    httpx.delete(f"{page_server.url}/api/sessions/{session}").raise_for_status()
    person.open()
    person.until_forgotten(session, "private words")


def test_who_undoes_the_deletion_of_the_chat_in_view_is_back_in_it(person: Person, page: Page) -> None:
    person.ask("not meant to go", model="echo")
    person.see("not meant to go")
    person.see_the_end()
    session = person.session
    row = page.locator(".session.current")
    row.hover()
    row.get_by_title("Delete").click()
    expect(page.get_by_text("What would you like to know?")).to_be_visible()
    person.button("Undo").click()
    person.see("not meant to go")
    assert person.session == session


def test_a_chat_that_is_not_there_is_not_taken_for_a_new_one(
    person: Person, page: Page, page_server: ServerProcess
) -> None:
    notice = page.get_by_text("There is no such chat here.")
    session = f"nowhere-{uuid.uuid4().hex}"
    person.open(session)
    expect(notice).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("No such chat")
    person.composer.fill("kept all the same")
    page.reload()
    expect(notice).to_be_visible()
    expect(person.composer).to_have_value("kept all the same")
    person.choose("echo")
    person.composer.press("Enter")
    person.see("kept all the same")
    expect(notice).to_be_hidden()
    assert httpx.get(f"{page_server.url}/api/sessions/{session}").status_code == 200


def test_a_new_chat_is_new_after_a_reload_too(person: Person, page: Page) -> None:
    person.button("New chat").click()
    session = person.session
    page.reload()
    other = Person(page.context.new_page(), person.url)
    for each in (page, other.page):
        expect(each.get_by_text("What would you like to know?")).to_be_visible()
        expect(each.get_by_role("heading", level=1)).to_have_text("New chat")
    assert person.session == other.session == session


def test_a_chat_that_was_deleted_while_nobody_looked_is_not_there(
    person: Person, page: Page, page_server: ServerProcess
) -> None:
    person.ask("gone by then", model="echo")
    person.see("gone by then")
    person.see_the_end()
    person.until_kept('"status":"completed","content":"gone by then')
    session = person.session
    person.composer.fill("a draft")
    page.goto("about:blank")
    httpx.delete(f"{page_server.url}/api/sessions/{session}").raise_for_status()
    person.open(session)
    expect(page.get_by_text("There is no such chat here.")).to_be_visible()
    expect(page.get_by_text("gone by then")).to_have_count(0)
    expect(person.composer).to_have_value("a draft")
    page.reload()
    expect(page.get_by_text("What would you like to know?")).to_be_visible()


def test_a_chat_is_exported(person: Person, page: Page) -> None:
    person.ask("to be kept", model="echo")
    person.see("to be kept")
    person.see_the_end()
    person.button("Export").click()
    with page.expect_download() as markdown:
        page.get_by_role("link", name="Markdown").click()
    assert markdown.value.suggested_filename == "to be kept.md"
    assert "to be kept" in Path(markdown.value.path()).read_text()
    with page.expect_download() as exported:
        page.get_by_role("link", name="JSON").click()
    messages = json.loads(Path(exported.value.path()).read_text())["messages"]
    assert [message["content"].strip() for message in messages] == ["to be kept", "to be kept"]


def test_the_keyboard_does_it_all(person: Person, page: Page) -> None:
    first = person.session
    person.ask("by keyboard", model="echo")
    person.see("by keyboard")
    person.see_the_end()
    page.keyboard.press("Alt+n")
    expect(page).not_to_have_url(re.compile(f"{first}$"))
    expect(person.composer).to_be_focused()
    page.keyboard.type("line one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("line two")
    page.keyboard.press("Enter")
    expect(person.questions).to_have_text(["line one\nline two"])
    expect(page.locator(".session").first).to_contain_text("line one")
    page.keyboard.press("Alt+ArrowDown")
    expect(person.questions).to_have_text(["by keyboard"])
    expect(page).to_have_url(re.compile(f"{first}$"))
    page.keyboard.press("Alt+ArrowUp")
    expect(person.questions).to_have_text(["line one\nline two"])
    expect(person.composer).to_be_focused()
    page.keyboard.press("Control+k")
    expect(page.get_by_label("Search chats")).to_be_focused()


@pytest.mark.parametrize("way", ["arrives", "arrives and nobody hears", "is lost"])
def test_a_chat_that_is_deleted_while_its_question_is_on_its_way_stays_deleted(
    person: Person, page: Page, page_server: ServerProcess, way: str
) -> None:
    words = f"changed my mind {uuid.uuid4().hex}"
    page.clock.install()
    person.button("New chat").click()
    held: list[Route] = []
    page.route(
        "**/api/sessions/*/messages",
        lambda route: held.append(route) if route.request.method == "POST" else route.continue_(),
    )
    person.ask(words, model="echo")
    session = person.session
    row = page.locator(".session.current")
    expect(row).to_contain_text(words)
    row.hover()
    row.get_by_title("Delete").click()
    with page.expect_response(lambda response: response.request.method == "DELETE"):
        page.clock.fast_forward(6_000)
    if way == "is lost":
        held[0].abort()
    else:
        # Of several: that one which there was something for to delete.
        with page.expect_response(lambda response: response.request.method == "DELETE" and response.status == 204):
            if way == "arrives":
                held[0].continue_()
            else:
                held[0].fetch()
                held[0].abort()
    page.unroute("**/api/sessions/*/messages")
    page.clock.fast_forward(60_000)
    page.wait_for_timeout(1_000)
    expect(page.locator(".session", has_text=words)).to_have_count(0)
    assert httpx.get(f"{page_server.url}/api/sessions/{session}").status_code == 404


def test_who_asks_in_a_chat_that_is_about_to_go_keeps_it(person: Person, page: Page) -> None:
    person.ask("to go", model="echo")
    person.see("to go")
    person.see_the_end()
    row = page.locator(".session.current")
    row.hover()
    row.get_by_title("Delete").click()
    expect(page.get_by_text("What would you like to know?")).to_be_visible()
    page.go_back()
    person.see("to go")
    person.ask("or not", model="echo")
    person.see("or not")
    expect(person.button("Undo")).to_have_count(0)
    expect(page.locator(".session.current")).to_contain_text("to go")
    page.wait_for_timeout(6_500)
    expect(page.get_by_text("This chat has been deleted.")).to_have_count(0)


@pytest.mark.parametrize("key", ["Enter", "Escape"])
def test_who_renames_by_keyboard_stays_at_the_row(
    person: Person, page: Page, page_server: ServerProcess, key: str
) -> None:
    session = ask_over_http(page_server, f"By its name {uuid.uuid4().hex}")
    page.reload()
    link = page.locator(f".session a[href='#{session}']")
    expect(link).to_contain_text("By its name")
    link.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Title")).to_be_focused()
    page.keyboard.press(key)
    expect(page.get_by_role("button", name="Rename By its name")).to_be_focused()


def test_the_focus_goes_on_from_a_deleted_chat(person: Person, page: Page) -> None:
    list_many(page, 3)
    rows = page.locator(".session")
    expect(rows).to_have_count(3)
    for place, left in ((0, "Chat 1"), (1, "Chat 1")):
        rows.nth(place).get_by_role("link").focus()
        for _ in range(2):
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_role("link", name=left)).to_be_focused()
    for _ in range(2):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(0)
    expect(person.composer).to_be_focused()


def test_the_last_chats_are_shown_and_one_goes_on(person: Person, page: Page) -> None:
    list_many(page, 60)
    person.button("Show more").press("Enter")
    expect(page.locator(".session")).to_have_count(60)
    expect(person.composer).to_be_focused()


def test_a_long_list_scrolls_between_what_belongs_to_it(person: Person, page: Page) -> None:
    list_many(page)
    last = page.locator(".session").nth(49)
    last.scroll_into_view_if_needed()
    expect(last).to_be_in_viewport(ratio=1)
    expect(person.button("New chat")).to_be_in_viewport(ratio=1)
    expect(page.get_by_label("Search chats")).to_be_in_viewport(ratio=1)
    page.set_viewport_size({"width": 1200, "height": 200})  # too low for that: all of it scrolls
    last.scroll_into_view_if_needed()
    expect(last).to_be_in_viewport(ratio=1)
    expect(person.button("New chat")).not_to_be_in_viewport()


def test_the_chat_in_view_is_seen_in_the_list(person: Person, page: Page) -> None:
    list_many(page)
    rows = page.locator(".session")
    expect(rows).to_have_count(50)
    current = page.locator(".session.current")
    person.turn_to("chat-25")
    expect(current).to_contain_text("Chat 25")
    for key, place in (("ArrowDown", 26), ("ArrowUp", 25), ("ArrowUp", 24)):
        page.keyboard.press(f"Alt+{key}")
        expect(current).to_contain_text(f"Chat {place}")
        expect(current).to_be_in_viewport(ratio=1)
    expect(rows.first).not_to_be_in_viewport()
    person.turn_to("chat-1")
    expect(current).to_contain_text("Chat 1")
    page.keyboard.press("Alt+ArrowUp")
    expect(current).to_contain_text("Chat 0")
    expect(current).to_be_in_viewport(ratio=1)


def test_every_key_of_many_counts(person: Person, page: Page) -> None:
    list_many(page)
    expect(page.locator(".session")).to_have_count(50)
    for _ in range(40):
        page.keyboard.press("Alt+ArrowDown")
    expect(page.locator(".session.current")).to_contain_text("Chat 39")


def test_a_title_that_could_not_be_saved_is_not_shown(person: Person, page: Page, page_server: ServerProcess) -> None:
    session = ask_over_http(page_server, "The right name")
    person.open(session)
    page.reload()
    page.route(
        "**/api/sessions/*", lambda route: route.abort() if route.request.method == "PATCH" else route.continue_()
    )
    row = page.locator(".session.current")
    row.hover()
    row.get_by_title("Rename").click()
    page.get_by_label("Title").fill("Another")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Not renamed.")).to_be_visible()
    expect(row).to_contain_text("The right name")

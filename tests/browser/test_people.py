"""Several people at one browser: each finds what is theirs, and nothing of anybody else's."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.access.people import ADA, BOB, TOKENS, bearer
from tests.browser.person import Person
from tests.browser.test_for_everyone import assert_no_fault
from tests.browser.test_nothing_lost import SENDS, lose_questions
from tests.serving import ServerProcess, running

KEPT = """async () => {
    const done = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
    const kept = [JSON.stringify(localStorage), JSON.stringify(sessionStorage)];
    for (const { name } of await indexedDB.databases()) {
        const database = await done(indexedDB.open(name));
        for (const store of database.objectStoreNames) {
            kept.push(JSON.stringify(await done(database.transaction(store).objectStore(store).getAll())));
        }
        database.close();
    }
    return kept.join();
}"""


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running(tmp_path_factory.mktemp("asking"), XIONIMUS_TOKENS=TOKENS) as process:
        yield process


@pytest.fixture
def ada(context: BrowserContext, asking: ServerProcess) -> Iterator[Person]:
    """Signed in."""
    page = context.new_page()
    page.goto(f"{asking.url}/")
    sign_in(page, ADA)
    person = Person(page, asking.url)
    yield person
    person.assert_nothing_broke()


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Your token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def ask(person: Person, question: str) -> None:
    person.ask(question, model="echo")
    person.see(question)
    person.see_the_end()
    person.until_kept(f'"status":"completed","content":"{question}', owner="ada")


def cookie_of(page: Page, asking: ServerProcess, token: str) -> None:
    """As if the browser forgot nothing: by plain HTTP it does not, and a cookie may run out meanwhile."""
    page.context.add_cookies([{"name": "xionimus", "value": token, "url": asking.url}])


def test_who_signs_in_next_finds_nothing_of_the_one_before(ada: Person, asking: ServerProcess) -> None:
    page = ada.page
    ask(ada, "a secret of mine")
    lose_questions(page)
    ada.ask("an unsent secret", model="echo")
    expect(page.get_by_text("Not sent.")).to_be_visible()
    ada.composer.fill("a secret draft")
    of_ada = ada.session
    page.unroute(SENDS)
    cookie_of(page, asking, BOB)
    posted: list[str] = []
    page.on("request", lambda request: posted.append(request.url) if request.method == "POST" else None)
    bob = Person(page, asking.url)
    expect(page.get_by_text("What would you like to know?")).to_be_visible()
    assert bob.session != of_ada
    page.goto("about:blank")
    bob.open(of_ada)
    expect(page.get_by_text("There is no such chat here.")).to_be_visible()
    page.wait_for_timeout(500)
    assert "secret" not in page.content()
    assert bob.composer.input_value() == ""
    assert posted == []
    theirs = httpx.get(f"{asking.url}/api/sessions", headers=bearer(BOB)).json()["sessions"]
    assert theirs == []


def test_and_the_one_before_finds_everything_again(ada: Person, asking: ServerProcess) -> None:
    page = ada.page
    ask(ada, "mine again")
    ada.composer.fill("a draft")
    cookie_of(page, asking, BOB)
    Person(page, asking.url)
    cookie_of(page, asking, ADA)
    ada.open()
    ada.see("mine again")
    expect(ada.composer).to_have_value("a draft")


def test_a_page_that_is_open_makes_way_for_who_signs_in_elsewhere(ada: Person, asking: ServerProcess) -> None:
    ask(ada, "still on the screen")
    cookie_of(ada.page, asking, BOB)
    Person(ada.page.context.new_page(), asking.url)
    expect(ada.page.get_by_text("What would you like to know?")).to_be_visible()
    expect(ada.page.get_by_text("bob", exact=True)).to_be_visible()
    assert "still on the screen" not in ada.page.content()


def test_it_does_so_too_if_only_the_server_says_who_it_is(ada: Person, asking: ServerProcess) -> None:
    ask(ada, "still to be seen")
    cookie_of(ada.page, asking, BOB)
    ada.page.evaluate("dispatchEvent(new Event('online'))")  # the list of chats is read again
    expect(ada.page.get_by_text("What would you like to know?")).to_be_visible()
    assert "still to be seen" not in ada.page.content()


@pytest.mark.parametrize("forgets", [True, False], ids=["by the browser", "by the page"])
def test_signing_out_leaves_nothing_in_the_browser(ada: Person, asking: ServerProcess, forgets: bool) -> None:
    page = ada.page
    ask(ada, "to be forgotten")
    ada.composer.fill("forgotten too")
    other = Person(page.context.new_page(), asking.url, ada.session)
    other.see("to be forgotten")
    if not forgets:
        page.route("**/sign-out", lambda route: route.fulfill(status=401, json={"code": "unauthorized", "status": 401}))
    assert "forgotten" in page.evaluate(KEPT)
    ada.button("Sign out").click()
    for each in (page, other.page):
        expect(each).to_have_url(f"{asking.url}/sign-in")
        expect(each.get_by_label("Your token")).to_be_visible()
    # From a page that runs nothing: what one writes while it goes would be found here.
    page.goto(f"{asking.url}/healthz")
    assert "forgotten" not in page.evaluate(KEPT)
    page.go_back()
    page.wait_for_timeout(300)
    assert "to be forgotten" not in page.content()
    if forgets:
        assert page.goto(f"{asking.url}/").url == f"{asking.url}/sign-in?next=/"  # type: ignore[union-attr]


def test_signing_in_leads_to_the_chat_that_was_wanted(context: BrowserContext, asking: ServerProcess) -> None:
    url = f"{asking.url}/api/sessions/wanted/messages"
    httpx.post(url, headers=bearer(ADA), params={"wait": 10}, json={"content": "you want me", "model": "echo"})
    page = context.new_page()
    page.goto(f"{asking.url}/#wanted")
    sign_in(page, "wrong")
    expect(page.get_by_role("alert")).to_be_visible()
    sign_in(page, ADA)
    expect(page).to_have_url(f"{asking.url}/#wanted")
    expect(page.get_by_role("article", name="Question")).to_have_text("you want me")


def test_axe_finds_no_fault_where_one_signs_in(context: BrowserContext, asking: ServerProcess) -> None:
    page = context.new_page()
    page.goto(f"{asking.url}/sign-in")
    sign_in(page, "wrong")
    expect(page.get_by_role("alert")).to_be_visible()
    assert_no_fault(page)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(23, 24, 26)"


def test_where_nobody_signs_in_nobody_signs_out(person: Person) -> None:
    expect(person.button("New chat")).to_be_visible()
    expect(person.button("Sign out")).to_have_count(0)

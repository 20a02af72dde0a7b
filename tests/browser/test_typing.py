"""What is typed and pressed is one's own: in its tab, with its input method, on its phone."""

from __future__ import annotations

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser.conftest import LOOKS
from tests.browser.person import Person
from tests.serving import ServerProcess

PLACE = "() => document.querySelector('.transcript').scrollTop"
OF_AN_INPUT_METHOD = """(element, key) => element.dispatchEvent(
    new KeyboardEvent("keydown", { key, isComposing: true, bubbles: true, cancelable: true }))"""

PRESSED_WITH_ALT = """(element, key) => element.dispatchEvent(
    new KeyboardEvent("keydown", { key, altKey: true, bubbles: true, cancelable: true }))"""


def composing(field: Locator, key: str) -> None:
    field.evaluate(OF_AN_INPUT_METHOD, key)


def test_another_tab_takes_nothing_from_what_is_being_typed(person: Person, context: BrowserContext) -> None:
    person.ask("Hello?", "echo")
    person.see_the_end()
    other = Person(context.new_page(), person.url, person.session)
    other.composer.press_sequentially("A long question")
    person.composer.press_sequentially("A short one")
    person.composer.press("Enter")
    other.see("A short one")
    expect(person.composer).to_have_value("")
    expect(other.composer).to_have_value("A long question")
    other.assert_nothing_broke()


def test_keys_of_an_input_method_stop_and_send_nothing(person: Person, page: Page) -> None:
    person.ask("Tell me", "long")
    stop = person.button("Stop")
    expect(stop).to_be_visible()
    composing(person.composer, "Escape")
    expect(stop).to_be_visible()
    person.composer.press("Escape")
    expect(stop).to_have_count(0)
    person.questions.last.hover()
    person.questions.last.get_by_role("button", name="Edit").click()
    editor = page.get_by_label("Edit the question")
    composing(editor, "Escape")
    expect(editor).to_be_visible()


def test_a_name_being_composed_is_not_saved_yet(person: Person, page: Page) -> None:
    person.ask("Hello?", "echo")
    person.see_the_end()
    page.locator(".session.current").hover()
    page.locator(".session.current").get_by_role("button", name="Rename").click()
    title = page.get_by_label("Title")
    title.fill("Nihongo")
    composing(title, "Enter")
    expect(title).to_be_visible()
    title.press("Enter")
    expect(page.locator(".session.current").get_by_role("button", name="Rename Nihongo")).to_be_focused()


def test_a_model_that_is_not_named_after_all_changes_nothing(person: Person, page: Page) -> None:
    person.choose("echo")
    model = page.get_by_label("Model", exact=True)
    chosen = model.input_value()
    model.evaluate("""(select) => {
        const other = [...select.options].find(({ label }) => label.startsWith("Another model"));
        other.parentElement.disabled = false;
        select.value = other.value;
        select.dispatchEvent(new Event("change", { bubbles: true }));
    }""")
    name = page.get_by_label("Name of the model")
    name.fill("gp")
    name.press("Escape")
    expect(model).to_have_value(chosen)


def test_keys_that_open_a_list_of_models_change_no_chat(person: Person, page: Page) -> None:
    person.ask("Hello?", "echo")
    person.see_the_end()
    person.button("New chat").click()
    session = person.session
    page.evaluate("() => addEventListener('keydown', (event) => (window.pressed = event))")
    model = page.get_by_label("Model", exact=True)
    for key in ("ArrowDown", "ArrowUp"):
        model.focus()
        model.evaluate(PRESSED_WITH_ALT, key)
        assert page.evaluate("() => !window.pressed.defaultPrevented")
        assert person.session == session
    person.composer.evaluate(PRESSED_WITH_ALT, "ArrowDown")
    assert person.session != session


def test_pause_ends_with_the_chat_it_was_for(person: Person, page: Page) -> None:
    person.ask("Tell me", "long")
    person.button("Pause").click()
    page.keyboard.press("Alt+KeyN")
    expect(person.answers).to_have_count(0)
    expect(person.button("Go on")).to_have_count(0)
    person.ask("Where is my answer?", "echo")
    person.see("Where is my answer?")


def test_who_asks_sees_what_comes(person: Person) -> None:
    person.ask("Tell me", "long")
    person.button("Pause").click()
    person.composer.fill("And more")
    person.composer.press("Enter")
    expect(person.button("Pause")).to_be_visible()


def test_a_closed_dialog_gives_the_focus_back(person: Person, page: Page) -> None:
    person.button("Settings").click()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(person.button("Settings")).to_be_focused()


def test_a_selection_drawn_out_of_a_dialog_leaves_it_open(person: Person, page: Page) -> None:
    person.button("Settings").click()
    limit = page.get_by_label("Most tokens an answer may have")
    limit.fill("12345")
    limit.hover()
    page.mouse.down()
    page.mouse.move(5, 5)
    page.mouse.up()
    expect(limit).to_have_value("12345")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.mouse.click(5, 5)
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_text_stays_under_a_pointer_that_is_held(person: Person, page: Page) -> None:
    person.ask("Tell me", "long")
    page.wait_for_function("() => document.querySelector('.transcript').scrollTop > 200")
    page.mouse.move(600, 300)
    page.mouse.down()
    page.mouse.move(700, 300)
    place = page.evaluate(PLACE)
    page.wait_for_function("(length) => document.body.innerText.length > length + 300", arg=len(person.read()))
    assert page.evaluate(PLACE) == place
    page.mouse.up()
    person.button("Stop").click()


def test_paper_gets_all_of_a_chat(person: Person, page: Page) -> None:
    person.ask("Tell me", "long")
    person.see_the_end(60_000)
    page.emulate_media(media="print")
    shown, whole = page.locator(".transcript").evaluate("(element) => [element.clientHeight, element.scrollHeight]")
    assert shown == whole > 2 * page.evaluate("() => innerHeight")
    expect(person.composer).to_be_hidden()


def test_a_low_window_has_room_for_the_answer(person: Person, page: Page) -> None:
    page.set_viewport_size({"width": 844, "height": 200})
    person.ask("Tell me", "long")
    expect(person.button("Stop")).to_be_visible()
    assert page.locator(".transcript").evaluate("(element) => element.clientHeight") > 90


def test_a_phone_writes_lines_and_keeps_its_keyboard_down(browser: Browser, page_server: ServerProcess) -> None:
    phone = {**LOOKS, "viewport": {"width": 390, "height": 844}}
    with browser.new_context(**phone, is_mobile=True, has_touch=True, service_workers="block") as context:
        person = Person(context.new_page(), page_server.url)
        expect(person.composer).not_to_be_focused()
        person.composer.fill("Dear John,")
        person.composer.press("Enter")
        expect(person.composer).to_have_value("Dear John,\n")
        expect(person.questions).to_have_count(0)
        person.button("Send").tap()
        expect(person.questions).to_have_count(1)
        person.see_the_end()
        person.page.get_by_role("button", name="Chats", exact=True).tap()
        row = person.page.locator(".session.current")
        row.get_by_role("button", name="Delete").tap()
        expect(row).to_have_count(0)
        person.button("Undo").tap()
        expect(row).to_contain_text("Dear John")
        person.assert_nothing_broke()

"""What a model says is hostile: nothing of it runs, nothing of it is fetched."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.hostile import SNIPPETS
from tests.browser.person import Person
from tests.serving import ServerProcess

RENDER_EVERY_CUT = """
async (snippets) => {
    const { MarkdownView } = await import("/static/components/markdown/markdown-view.js");
    const allowed = new Set(["http:", "https:", "mailto:"]);
    const inert = new Set(("A BLOCKQUOTE BR BUTTON CODE DIV EM FIGCAPTION FIGURE H2 H3 H4 H5 H6 HR LI OL P PRE S " +
        "SPAN STRONG TABLE TBODY TD TH THEAD TR UL").split(" "));
    const attributes = new Set(("class dir href rel target title tabindex role aria-label value type").split(" "));
    const complaints = [];
    const root = document.body.appendChild(document.createElement("div"));
    const examine = (how) => {
        for (const node of root.querySelectorAll("*")) {
            if (!inert.has(node.tagName)) complaints.push(`${how}: <${node.tagName}>`);
            for (const { name } of node.attributes) if (!attributes.has(name)) complaints.push(`${how}: ${name}`);
            if (node.href && !allowed.has(new URL(node.href).protocol)) complaints.push(`${how}: ${node.href}`);
            if (node.href && node.rel !== "noopener noreferrer") complaints.push(`${how}: rel`);
        }
    };
    for (const snippet of snippets) {
        for (let cut = 0; cut <= snippet.length; cut += 1) {
            const view = new MarkdownView(root);
            view.write(snippet.slice(0, cut));
            examine(`before ${cut} of ${snippet}`);
            view.write(snippet.slice(cut));
            view.end();
            examine(`after ${cut} of ${snippet}`);
        }
    }
    await new Promise((resolve) => setTimeout(resolve, 300));
    root.remove();
    return complaints;
}
"""


def test_there_are_enough_hostile_snippets() -> None:
    assert len(set(SNIPPETS)) >= 150


@pytest.mark.parametrize("part", range(3))
def test_hostile_markdown_cut_anywhere_stays_text(person: Person, page: Page, part: int) -> None:
    page.evaluate("() => { window.hurt = 0; window.alert = () => (window.hurt += 1); }")
    complaints = page.evaluate(RENDER_EVERY_CUT, SNIPPETS[part::3])
    assert complaints[:5] == []
    assert page.evaluate("window.hurt") == 0
    page.wait_for_timeout(200)
    person.assert_nothing_broke()  # nothing was requested from elsewhere


def test_hostile_markdown_as_an_answer_stays_text(impatient: Person) -> None:
    person, page = impatient, impatient.page
    page.evaluate("() => { window.alert = () => (window.hurt = 1); }")
    person.ask("\n\n".join(SNIPPETS[:60]), model="echo")
    person.see_the_end(timeout=60_000)
    assert page.evaluate("window.hurt") is None
    expect(person.text.locator("script, img, svg, iframe, style, form, object, math")).to_have_count(0)


def test_a_link_shows_where_it_leads(person: Person) -> None:
    person.ask("[your bank](https://evil.example/login) and [mail](mailto:a@b.example)", model="echo")
    person.see_the_end()
    link = person.text.get_by_role("link", name="your bank")
    expect(link).to_contain_text("evil.example")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    expect(person.text.get_by_role("link", name="mail")).to_contain_text("a@b.example")


def test_a_picture_is_offered_as_a_link(person: Person) -> None:
    person.ask("![a chart](https://tracker.example/pixel.png?who=me)", model="echo")
    person.see_the_end()
    expect(person.text.get_by_role("link", name="a chart")).to_contain_text("tracker.example")
    expect(person.text.locator("img")).to_have_count(0)


def test_the_policy_lets_nothing_inline_or_foreign_run(person: Person, page: Page) -> None:
    policy = httpx.get(person.url).headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "img-src 'self' data: blob:" in policy
    refused = page.evaluate("""() => new Promise((resolve) => {
        document.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
        const script = document.createElement("script");
        try { script.textContent = "window.ran = 1"; } catch { resolve("trusted-types"); }
        document.body.append(script);
    })""")
    assert refused in ("require-trusted-types-for", "script-src-elem", "trusted-types")
    assert page.evaluate("window.ran") is None
    person.errors.clear()


def test_a_key_appears_in_no_address(person: Person, page: Page, page_server: ServerProcess) -> None:
    person.button("Settings").click()
    page.get_by_label("OpenAI").fill("sk-secret-1234567890")
    page.get_by_label("OpenAI").blur()
    person.button("Close").click()
    person.ask("Hello", model="echo")
    person.see("Hello")
    assert not [url for url in person.requests if "sk-secret" in url]
    assert "sk-secret" not in Path(page_server.folder / "server.log").read_text()

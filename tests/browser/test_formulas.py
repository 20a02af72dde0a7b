"""Formulas are set as MathML, and what is none, or not yet, or cannot be set, stays as it was written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, Route, expect

from tests.browser.person import Person

SET = """
async (texts) => {
    const { MarkdownView } = await import("/static/components/markdown/markdown-view.js");
    const { loadTypesetter } = await import("/static/components/markdown/typesetter.js");
    const frame = () => new Promise(requestAnimationFrame);
    const found = [];
    for (const pieces of texts) {
        const root = document.body.appendChild(document.createElement("div"));
        root.className = "markdown";
        const view = new MarkdownView(root);
        for (const piece of pieces) { view.restUntil = 0; view.write(piece); }
        view.end();
        await loadTypesetter().catch(() => {});
        for (let frames = 0; frames < 2; frames += 1) await frame();
        const { width } = root.getBoundingClientRect();
        found.push({
            html: root.innerHTML,
            text: root.textContent,
            formulas: [...root.querySelectorAll("math")].map((math) => math.textContent),
            displayed: root.querySelectorAll("math[display=block]").length,
            parts: [...new Set([...root.querySelectorAll("*")].map(({ localName }) => localName))],
            attributes: [...new Set([...root.querySelectorAll("*")].flatMap((each) => each.getAttributeNames()))],
            isWithin: document.documentElement.scrollWidth <= innerWidth,
            height: root.offsetHeight,
        });
        root.remove();
    }
    return found;
}
"""
FORMULA = r"\frac{a}{b} = \sqrt{c_1}"
FORMULAS = [
    (r"so \(x_1\) it is", ["x1"], 0),
    (r"so $$x_1$$ it is", ["x1"], 0),
    (r"so \[x_1\] it is", ["x1"], 1),
    (r"\[x_1\]", ["x1"], 1),
    (r"$$x_1$$", ["x1"], 1),
    ("$$\nx_1\n$$", ["x1"], 1),
    ("text\n\\[\nx_1\n\\]\ntext", ["x1"], 1),
    ("\\[\nx\n= y\n- z\n\\]", ["x=y\u2212z"], 1),
    ("\\[\nx\n\\], where \\(y\\) is **z**", ["x", "y"], 1),
    ("$$x$$ and $$y$$.", ["x", "y"], 0),
    (r"$$\$5 < x$$", ["$5<x"], 1),
    ("- \\(x\\)\n- \\[\n  y\n  \\]\n- z", ["x", "y"], 1),
    ("> \\[\n> x\n> \\]", ["x"], 1),
    (r"**\(x\)** and *\(y\)* and [\(z\)](https://a.org)", ["x", "y", "z"], 0),
    ("| a |\n|---|\n| \\(x\\) |", ["x"], 0),
    (r"# About \(x\)", ["x"], 0),
    (r"\[\begin{aligned} a &= b \\ c &= d \end{aligned}\]", ["a=bc=d"], 1),
    (r"\(\ce{H2O}\) is \(\mbox{water}\)", ["H2O", "water"], 0),
]
SOURCES = [
    "$5 and $10, or $3-$4",
    "$x_1$",
    "from $a to $b",
    r"`\(x\)` and `$$y$$`",
    "```latex\n\\[\nx\n\\]\n```",
    "    \\(x\\)",
    r"\\(x\\)",
    "$$$$ and \\(\\) and \\[ \\]",
    r"open \(x + y",
    "open \\[\nx + y\n\nend",
    "open $$x + y",
    r"\(\frac{a}\)",
    r"\(\nosuchcommand x\)",
    r"\[\begin{matrix} a\]",
    r"\({\)",
    r"\(}\)",
    r"\(&\)",
    r"\(x^2^3\)",
]
HOSTILE = [
    r"\href{javascript:alert(1)}{x}",
    r"\href{https://evil.example}{x}",
    r"\url{https://evil.example}",
    r"\includegraphics{https://evil.example/p.png}",
    r"\class{dialog}{x}",
    r"\id{composer}{x}",
    r"\style{position:fixed;inset:0}{x}",
    r"\data{a=b}{x}",
    r"\htmlClass{a}{x}",
    r"\label{page} x \ref{page}",
    r"\toggle{a}{b}\endtoggle",
    r"<script>alert(1)</script>",
    r"\text{<img src=x onerror=alert(1)>}",
    r"\color{url(https://evil.example)} x",
    r"\def\a{\a}\a",
    r"\def\a{\a\a}\a",
    r"\def\a{" + "x" * 4_000 + "}" + r"\a" * 400,
    r"\def\a#1{#1#1}" + r"\a{" * 9 + "x" * 4_000 + "}" * 9,
    r"\newcommand{\a}[1]{#1#1#1}" + r"\a{" * 30 + "x" + "}" * 30,
    r"\gdef\frac{x}\frac",
    r"\edef\a{x}" + r"\edef\a{\a\a}" * 40 + r"\a",
    r"\let\text\href\text{x}{y}",
    "x+" * 10_000,
    "{" * 2_000 + "x" + "}" * 2_000,
    r"\sqrt{" * 700 + "x" + "}" * 700,
    r"\left(" * 300 + "x" + r"\right)" * 300,
    r"\begin{matrix}" * 150 + "x" + r"\end{matrix}" * 150,
    r"\begin{matrix}" + "&" * 4_900 + r"\end{matrix}",
    r"\begin{matrix}" + r"\\" * 2_400 + r"\end{matrix}",
    r"\ce{" + "H2O + " * 800 + "}",
    r"\__proto__ \constructor \prototype",
]
LARGE = [
    r"\rule{999999999em}{1e9em}",
    r"\rule{99999em}{99999em}",
    r"\kern99999em x \hspace{-99999em} y",
    r"\raisebox{99999em}{x}",
    r"\rlap{\rule{500px}{500px}} \llap{\rule{500px}{500px}}",
    r"a + b + c + d + e + f + g = " * 20 + "h",
    r"\begin{pmatrix}" + "alpha &" * 30 + r"\end{pmatrix}",
]


def set_all(page: Page, texts: list[list[str]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate(SET, texts)
    return found


def test_each_way_to_write_a_formula(page: Page) -> None:
    found = set_all(page, [[text] for text, _, _ in FORMULAS])
    for (text, formulas, displayed), shown in zip(FORMULAS, found, strict=True):
        assert [re.sub("[\u2061-\u2064\\s]", "", each) for each in shown["formulas"]] == formulas, (text, shown["html"])
        assert shown["displayed"] == displayed, (text, shown["html"])


def test_text_around_a_formula_stays(page: Page) -> None:
    [shown] = set_all(page, [["Before\n\\[\nx\n\\], where \\(y\\) is **so** and\n\nafter"]])
    assert re.sub(r"\s+", " ", shown["text"]) == "Beforex, where y is so andafter"


def test_what_is_no_formula_stays_as_it_was_written(page: Page) -> None:
    for text, shown in zip(SOURCES, set_all(page, [[text] for text in SOURCES]), strict=True):
        assert shown["formulas"] == [], text
        if "`" not in text and not text.startswith("    ") and not text.startswith(r"\\"):
            assert signs(shown["text"]) == signs(text), text


def test_a_formula_that_is_streamed_becomes_what_it_is_at_once(page: Page) -> None:
    texts = [*(text for text, _, _ in FORMULAS), *SOURCES]
    at_once = set_all(page, [[text] for text in texts])
    for cut in (list, lambda text: re.findall(r"\S+\s*|\s+", text), lambda text: text.splitlines(keepends=True)):
        for whole, streamed, text in zip(at_once, set_all(page, [cut(text) for text in texts]), texts, strict=True):
            assert streamed["html"] == whole["html"], text


def test_no_sign_is_lost_while_a_formula_is_written_and_it_is_set_once(page: Page) -> None:
    seen = page.evaluate(
        """async (text) => {
            const { MarkdownView } = await import("/static/components/markdown/markdown-view.js");
            const { loadTypesetter } = await import("/static/components/markdown/typesetter.js");
            const temml = await loadTypesetter();
            const frame = () => new Promise(requestAnimationFrame);
            const root = document.body.appendChild(document.createElement("div"));
            const view = new MarkdownView(root);
            const texts = [];
            const made = new Set();
            for (const piece of text) {
                view.restUntil = 0;
                view.write(piece);
                await frame();
                await frame();
                texts.push(root.textContent);
                for (const math of root.querySelectorAll("math")) made.add(math);
            }
            root.remove();
            return [texts, made.size];
        }""",
        r"Let \(x_1 + y\) be *this* and **that**, and \(z\) more.",
    )
    texts, made = seen
    assert r"Let \(x_1 + y" in texts
    assert any(text.startswith("Let x1+y") for text in texts)
    assert texts[-1].startswith("Let x1+y be this and that, and z more")
    # What was shown is shown on: a formula's source gives way only to the formula.
    words = "Let x1+y be this and that, and z more."
    shown = [re.sub(r"\\\(.*", "", text).replace("*", "") for text in texts]
    assert [text for text in shown if not words.startswith(text)] == []
    assert made == 2


@pytest.mark.parametrize("form", [r"\({}\)", r"\[{}\]", "$$\n{}\n$$"])
def test_a_hostile_formula_is_harmless(person: Person, page: Page, form: str) -> None:
    page.evaluate("() => { window.alert = () => (window.hurt = 1); }")
    texts = [form.replace("{}", each) for each in HOSTILE]
    for text, shown in zip(texts, set_all(page, [[text] for text in texts]), strict=True):
        assert not {"a", "img", "script", "iframe", "style", "maction"} & set(shown["parts"]), text
        assert not {"href", "src", "id", "onclick", "onerror", "title"} & set(shown["attributes"]), text
        assert shown["formulas"] or signs(shown["text"]) == signs(text), text[:100]
    assert page.evaluate("window.hurt") is None
    assert page.evaluate("Object.keys(Object.prototype)") == []
    person.assert_nothing_broke()


def test_a_hostile_formula_does_not_hold_the_page(page: Page) -> None:
    page.evaluate(
        """() => {
            window.tasks = [];
            new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map(({ duration }) => duration)))
                .observe({ type: "longtask" });
        }"""
    )
    set_all(page, [[rf"\[{each}\]"] for each in [*HOSTILE, *LARGE]])
    assert max(page.evaluate("window.tasks"), default=0) < 1_000


@pytest.mark.parametrize("form", [r"so \({}\) it is", r"\[{}\]", r"- so \({}\)", r"# so \({}\)"])
def test_a_large_formula_scrolls_in_its_place(page: Page, form: str) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    texts = [form.replace("{}", each) for each in LARGE]
    for text, shown in zip(texts, set_all(page, [[text] for text in texts]), strict=True):
        assert shown["formulas"] or signs(shown["text"]) == signs(text.removeprefix("- ").removeprefix("# ")), text
        assert shown["isWithin"], text
        assert shown["height"] < 3_000, text


def test_a_formula_in_an_answer(person: Person, page: Page) -> None:
    person.ask(f"So \\({FORMULA}\\) costs $5, and\n\n\\[\n{FORMULA}\n\\]", model="echo")
    expect(person.text.locator("math")).to_have_count(2)
    person.see_the_end()
    expect(person.text.get_by_role("group", name="Formula").locator("math[display=block]")).to_be_visible()
    assert "costs $5" in person.read()
    results = Axe().run(page, context=".markdown")
    assert results.response["violations"] == []
    assert page.evaluate("getComputedStyle(document.querySelector('.markdown math')).color") == page.evaluate(
        "getComputedStyle(document.querySelector('.markdown')).color"
    )


def test_copying_an_answer_copies_its_source(person: Person, page: Page) -> None:
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    source = f"So \\({FORMULA}\\), and\n\n$$\n{FORMULA}\n$$"
    person.ask(source, model="echo")
    expect(person.text.locator("math")).to_have_count(2)
    person.see_the_end()
    person.answers.last.hover()
    person.answers.last.get_by_role("button", name="Copy").first.click()
    page.wait_for_function("window.copied")
    assert source in page.evaluate("window.copied")


def test_what_sets_formulas_is_loaded_with_the_first_of_them(person: Person) -> None:
    def loaded() -> list[str]:
        return [Path(url).name for url in person.requests if "/temml/" in url]

    person.ask("It costs $5 or `\\(x\\)`, never $$.", model="echo")
    person.see("never")
    person.see_the_end()
    assert loaded() == []
    person.ask(r"It is \(x\), and \(y\).", model="echo")
    expect(person.text.locator("math")).to_have_count(2)
    assert sorted(loaded()) == ["Temml-Local.css", "temml.mjs"]


def test_without_what_sets_formulas_their_source_stays(person: Person, page: Page) -> None:
    page.route("**/temml/**", lambda route: route.abort())
    person.ask(rf"So \({FORMULA}\).", model="echo")
    person.see_the_end()
    page.wait_for_timeout(300)
    expect(person.text.locator("math")).to_have_count(0)
    assert rf"So \({FORMULA}\)." in person.read()


def test_a_formula_is_set_when_what_sets_it_comes_late(person: Person, page: Page) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/temml.mjs", hold)
    person.ask(rf"So \({FORMULA}\).", model="echo")
    person.see(rf"So \({FORMULA}\).")
    person.see_the_end()
    held[0].continue_()
    expect(person.text.locator("math")).to_have_count(1)


def signs(text: str) -> str:
    return re.sub(r"[\s>]+", "", text)

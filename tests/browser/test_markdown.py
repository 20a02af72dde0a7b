"""Markdown takes its form, and no character of an answer is lost on the way."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

import pytest
from playwright.sync_api import Page

from tests.browser.hostile import SNIPPETS
from tests.browser.person import Person

RENDER = """
async (pieces) => {
    const { MarkdownView } = await import("/static/components/markdown/markdown-view.js");
    const root = document.createElement("div");
    const view = new MarkdownView(root);
    for (const piece of pieces) view.write(piece);
    view.end();
    return { html: root.innerHTML, text: root.textContent };
}
"""
RENDER_IN_EVERY_WAY = """
async ([texts, seed]) => {
    const { MarkdownView } = await import("/static/components/markdown/markdown-view.js");
    const rendered = (pieces) => {
        const root = document.createElement("div");
        const view = new MarkdownView(root);
        for (const piece of pieces) { view.restUntil = 0; view.write(piece); }
        view.end();
        return root.innerHTML;
    };
    const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
    const cuts = {
        characters: (text) => [...text],
        units: (text) => text.split(""),
        lines: (text) => text.split(/(?<=\\n)/),
        words: (text) => text.split(/(?<=\\s)/),
        anywhere: (text) => text.split("").reduce((pieces, each) => {
            if (random() < 0.2) pieces.push("");
            pieces[pieces.length - 1] += each;
            return pieces;
        }, [""]),
    };
    const complaints = [];
    for (const text of texts) {
        const whole = rendered([text]);
        for (const [name, cut] of Object.entries(cuts)) {
            const streamed = rendered(cut(text));
            if (streamed !== whole) complaints.push(`${name}\\n${text}\\n---\\n${whole}\\n---\\n${streamed}`);
        }
    }
    return complaints;
}
"""

Render = Callable[[str], tuple[str, str]]

# What nobody means as a mark, and what has to stay as it is, sign for sign.
INTACT = [
    "get_user_name(a[0])",
    "[1, 2, 3]",
    "x[i][j]",
    "x[i](j)",
    "__init__.py",
    "the __init__ method of obj.__class__",
    "a*b*c",
    "2*3*4 = 24, and 5 * 6 * 7",
    "[^1]",
    "[^1]: a note",
    "[1]: https://example.com/a",
    "[text][1] and [text][]",
    "f(*args, **kwargs)",
    "snake_case_name and _x",
    "$5 and $10, or $3-$4",
    "$$E = mc^2$$",
    "$x_1 + y_1$ and $a*b*c$",
    r"\(a_1 + b_1\) and \[x_2 * y_2\]",
    "$$\na_1 + b_1\n- c * d * e\n$$",
    "\\[\n\\begin{matrix} a & b \\\\ c & d \\end{matrix}\n\\]",
    "$$\nnever closed\n- c",
    r"a \(never closed and so on",
    "\\[\na_1 + b_1\n\\], where \\(a_1\\) and \\(b_1 * c * d\\) are",
    "$$\na_1\n$$ for $$b_1 * \\$5 * c$$ and $$",
    "<div class='x'>raw</div> &c. <br> a < b > c",
    "Vec<String> and List<int>",
    "if (a < b && c > d) { return; }",
    "https://en.wikipedia.org/wiki/Rust_(language)?a=1&b=2#c_d_e",
    "https://example.com/%C3%A4_b_c*d*e",
    "https://host/odata?$filter=a&$top=5",
    "~/path and a~b~c and 1~2",
    "#hashtag and C#",
    "100% of 5_000_000",
    "C:\\Users\\name",
    "\\d+\\s",
    "[x](javascript:alert(1))",
    "[a](b c)",
    "![a](relative.png)",
    "[[wiki]] and [ ] and []",
    "a | b | c",
    "**open",
    "`open",
    "*open and **more",
    "~~open",
    "[open",
    "[open](https://exam",
    "&nosuch; &",
    "2 < 3_4",
    "\u202e\u2028\u0301e\u200d",
    "👩‍👩‍👧 _a",
    "这是_重点_内容",
]  # fmt: skip
SHAPES = [
    ("**a** *b* _c_ ~~d~~ `e`", "<strong>a</strong> <em>b</em> <em>c</em> <s>d</s> <code>e</code>"),
    ("__Strong words__", "<strong>Strong words</strong>"),
    ("这是**重点**内容", "这是<strong>重点</strong>内容"),
    ("***a***", "<em><strong>a</strong></em>"),
    ("Title\n=====\n\nSmaller\n---\n\ntext", '<h2 dir="auto">Title</h2><h3 dir="auto">Smaller</h3>'),
    ("~~~python\nx = 1\n~~~", "<code><span>x = 1</span></code>"),
    ("1) a\n2) b", '<ol dir="auto" class="bracketed"><li><p>a</p></li><li value="2">'),
    ("5. a\n7. b", '<ol dir="auto"><li value="5"><p>a</p></li><li value="7">'),
    ("|a|b|c|\n|:-|:-:|-:|\n|1|2|3|", '<td class="to-left">1</td><td class="to-center">2</td>'),
    ("|a|\n|-|\n|`x\\|y`|", "<code>x|y</code>"),
    ("|a|b|\n|-|-|\n|1|`x|y`|", "<code>x|y</code>"),
    ("|a|b|\n|-|-|\n|1|2|3|", '<td>2|3</td>'),
    ("- [x] done\n- [ ] not", '<span class="checkbox" role="img" aria-label="not done">☐</span>not'),
    ('[t](https://a.org "title")', 'target="_blank" title="title">t <span class="host">a.org</span></a>'),
    ("[t](https://a.org/b_(c))", 'href="https://a.org/b_(c)"'),
    ("<https://a.org/b>", '<a href="https://a.org/b" rel="noopener noreferrer" target="_blank">https://a.org/b</a>'),
    ("(https://a.org/b_(c)).", '>https://a.org/b_(c)</a>).'),
    ("https://a.org.", ">https://a.org</a>."),
    ("- - -\n\ntext", '<hr><p dir="auto">text</p>'),
    ("a\nb", '<p dir="auto">a<br>b</p>'),
]  # fmt: skip
MARKS = [
    "*", "**", "_", "`", "~~", "[", "](", "]", "(https://a.org)", "$", "$$", "\\[", "\\)", "#", ">", "-", "1.", "2)",
    "|", "<b>", "&", "!", "\\", "~~~", "> ", "- ", "1. ", "| ", "    ", "\t", "\n", "\n\n", "```\n", "---\n", "===\n",
    "|\n|-|-|\n",
]  # fmt: skip
RICH = """\
# Title

A paragraph with **strong words**, `code` and [a link](https://example.com/a_(b) "title").
A second line, https://example.com/x_y_z, and $x_1$.

1. First:

   ```python
   def f(a):
       return a[0]
   ```

2. Second
   - nested *deep*
   - more

     ```
     indented
       more
     ```
3. Third

> quoted **text**
> - with a list
lazy

| a | b |
|:--|--:|
| 1 | `x\\|y` |
| 2 | **z** |

$$
x_1 + y_1
- 1
$$

Heading
-------

```js
const a = `b`;

let c;
```

- one

- two

      code
- three
***
Last `words` [^1]

[^1]: note\r\nand the end
"""
SINGLE_LINES = ["-", "- x", "  y", "1.", "|-|-|", "| a | b |", "===", "---", "```", "$$", "> ", "***", "    z", "", ""]

MARKS_SEEN_WHILE_GROWING = """
async (text) => {
    const { MarkdownView } = await import("/static/components/markdown/markdown-view.js");
    const root = document.createElement("div");
    const view = new MarkdownView(root);
    const seen = new Set();
    for (const piece of text) {
        view.restUntil = 0;
        view.write(piece);
        for (const [mark] of root.textContent.matchAll(/[*`~#|>]|https|===|---/g)) seen.add(mark);
    }
    return [...seen];
}
"""
LEFT_TO_CHANGE = """
async ([head, unit]) => {
    const { MarkdownView } = await import("/static/components/markdown/markdown-view.js");
    const view = new MarkdownView(document.createElement("div"));
    view.write(head);
    for (let piece = 0; piece < 500; piece += 1) {
        view.restUntil = 0;
        view.write(unit);
    }
    return view.source.length;
}
"""
SELECT_AND_GROW = """
async ([before, selected, after]) => {
    const { MarkdownView } = await import("/static/components/markdown/markdown-view.js");
    const root = document.body.appendChild(document.createElement("div"));
    const view = new MarkdownView(root);
    view.write(before);
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (!texts.nextNode().data.includes(selected));
    const start = texts.currentNode.data.indexOf(selected);
    getSelection().setBaseAndExtent(texts.currentNode, start, texts.currentNode, start + selected.length);
    for (const piece of after) {
        view.restUntil = 0;
        view.write(piece);
    }
    view.end();
    return getSelection().toString();
}
"""
HEARD = """
async ([pieces, isOver]) => {
    const { MarkdownView } = await import("/static/components/markdown/markdown-view.js");
    const { SentenceReader } = await import("/static/components/announcer.js");
    const heard = [];
    const reader = new SentenceReader((text) => heard.push(text.trim()));
    const view = new MarkdownView(document.createElement("div"), (text, isWhole) => reader.read(text, isWhole));
    for (const piece of pieces) {
        view.restUntil = 0;
        view.write(piece);
    }
    if (isOver) view.end();
    return heard.join(" ").replace(/\\s+/g, " ");
}
"""


@pytest.fixture
def render(page: Page) -> Render:
    def rendered(text: str) -> tuple[str, str]:
        found = page.evaluate(RENDER, [text])
        return found["html"], found["text"]

    return rendered


def test_what_is_no_mark_stays_as_it_is(render: Render) -> None:
    for text in INTACT:
        assert squeezed(render(text)[1]) == squeezed(text), text


def test_what_is_no_mark_stays_as_it_is_within_lists_quotes_and_tables(render: Render) -> None:
    for text in INTACT:
        if "\n" in text or "|" in text:
            continue
        for around in ("- {}", "> {}", "1. a\n   - {}", "## {}", "**a** {}", "| a |\n| --- |\n| {} |"):
            shown = squeezed(render(around.format(text))[1])
            assert squeezed(text) in shown, around.format(text)


@pytest.mark.parametrize(
    "text", ["> " * 200 + "deep", "- " * 200 + "deep", "1. > " * 100 + "deep", "**_" * 200 + "deep"]
)
def test_what_stands_deep_is_not_lost(page: Page, render: Render, text: str) -> None:
    assert "deep" in render(text)[1]
    streamed_as_at_once(page, [f"{text}\n\nend"])


@pytest.mark.parametrize(("text", "shape"), SHAPES)
def test_marks_have_the_form_that_they_have_everywhere(render: Render, text: str, shape: str) -> None:
    assert shape in render(text)[0]


def test_code_in_a_list_has_its_own_indentation(person: Person, page: Page) -> None:
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    person.ask("1. First:\n\n   ```python\n   def f():\n       return 1\n   ```\n2. Second", model="echo")
    person.see("Second")
    person.see_the_end()
    assert person.text.locator("pre code").inner_text() == "def f():\n    return 1"
    person.text.get_by_role("button", name="Copy").click()
    page.wait_for_function("window.copied")
    assert page.evaluate("window.copied") == "def f():\n    return 1"


def test_no_word_is_lost_however_words_and_marks_are_mixed(page: Page, render: Render) -> None:
    chance = random.Random(7)
    for _ in range(400):
        words = [f"w{number}x" for number in range(20)]
        text = "".join(chance.choice(MARKS) * chance.randint(0, 2) + word + chance.choice(["", " "]) for word in words)
        shown = page.evaluate(RENDER, [text])
        assert re.findall(r"w\d+x", shown["text"]) == words, (text, shown["html"])


def streamed_as_at_once(page: Page, texts: Sequence[str]) -> None:
    assert page.evaluate(RENDER_IN_EVERY_WAY, [texts, 7])[:3] == []


def test_what_is_streamed_becomes_the_same_as_what_comes_at_once(page: Page) -> None:
    streamed_as_at_once(page, [RICH, *INTACT, *(text for text, _ in SHAPES)])


def test_hostile_text_that_is_streamed_becomes_the_same_too(page: Page) -> None:
    streamed_as_at_once(page, SNIPPETS)


def test_mixed_marks_that_are_streamed_become_the_same_too(page: Page) -> None:
    chance = random.Random(11)
    lines = [*RICH.splitlines(), *SINGLE_LINES]
    texts = ["\n".join(chance.choices(lines, k=chance.randint(2, 14))) for _ in range(300)]
    streamed_as_at_once(page, texts)


def test_marks_are_not_seen_while_they_are_written(page: Page) -> None:
    text = "# A title\n\nWith **strong words** and `code`, ~~none~~, [a link](https://a.org/b) and *one*.\n\n"
    text += "```python\nx\n```\n- **a**\n- `b`\n\n> quoted\n\n---\n\n1. one\n\nTitle\n---\n\nend"
    assert set(page.evaluate(MARKS_SEEN_WHILE_GROWING, text)) <= {"*"}  # of the single ones, that may be anything


@pytest.mark.parametrize(
    ("head", "unit"),
    [
        ("```python\n", "value = compute(one, two)  # a comment\n"),
        ("- begin\n", "- **item** with `code`\n"),
        ("1. begin\n", "1. item\n\n   with a paragraph\n\n"),
        ("| a | b |\n|---|---|\n", "| cell | **cell** |\n"),
        ("begin\n\n", "A paragraph.\n\n"),
        ("# begin\n", "## Heading\n\n```\ncode\n```\n"),
    ],
)
def test_little_is_parsed_again_however_long_the_text_is(page: Page, head: str, unit: str) -> None:
    assert page.evaluate(LEFT_TO_CHANGE, [head, unit]) < 200


@pytest.mark.parametrize(
    ("before", "selected", "after"),
    [
        ("Some words and **stro", "words", "ng** ones\nand a line\n\nend"),
        ("Some words and **strong wo", "strong", "rds** ones\n\nend"),
        ("- one\n- two **three", "two", "** four\n\n  five\n- six\n\nend"),
        ("```\none\ntwo", "one", "\nthree\n```\n\nend"),
        ("| a |\n|---|\n| one |\n| two", "one", " |\n| three |\n\nend"),
    ],
)
def test_what_is_selected_stays_selected(page: Page, before: str, selected: str, after: str) -> None:
    assert page.evaluate(SELECT_AND_GROW, [before, selected, after]) == selected


def test_each_sentence_is_heard_once(page: Page) -> None:
    text = (
        RICH
        + "\n\nOne. Two!\n- Three **four.** five\n- six? Seven\n\n```\nsilence\n```\n\n---\n\n| a b |\n|---|\n| c |\n"
    )
    at_once = heard(page, [text])
    assert at_once.endswith("One. Two! Three four. five six? Seven Code. a b c")
    assert heard(page, re.findall(r"\s+|\S+\s*", text)) == at_once
    assert heard(page, list(text)) == at_once


def test_cells_and_code_are_heard_when_they_are_whole(page: Page) -> None:
    text = "|Do this|See that|\n|-|-|\n|Reload the page|It goes on|\n|Open a tab||\n\n```python\nx = 1\n```\n\nEnd"
    said = "Do this See that Reload the page It goes on Open a tab Code, python. End"
    assert heard(page, [text]) == said
    assert heard(page, list(text)) == said


def test_code_is_announced_when_it_begins(page: Page) -> None:
    text = '- Like this:\n  ```python title="x.py"\n  x = 1\n  y = 2'
    assert heard(page, list(text), is_over=False) == "Like this: Code, python."
    assert heard(page, list(text)) == "Like this: Code, python."


def heard(page: Page, pieces: list[str], is_over: bool = True) -> str:
    said: str = page.evaluate(HEARD, [pieces, is_over])
    return said


def test_what_is_selected_across_code_is_the_code_alone(person: Person, page: Page) -> None:
    person.ask("before\n\n```python\nx = 1\n```\n\nafter", model="echo")
    person.see_the_end()
    selected = person.text.evaluate(
        "(text) => { getSelection().selectAllChildren(text); return String(getSelection()); }"
    )
    assert selected.split() == ["before", "x", "=", "1", "after"]


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()

"""Answers without a key and without an AI: to look at, to try things out with, and to test against."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from server.chat.errors import ProviderError
from server.chat.provider import Delta, Finish, Prompt, ProviderInfo, Text, Thinking, Usage
from server.providers.models import DEMO, DEMO_DEFAULT

MAX_QUOTED = 200  # characters of the question that the answer repeats
LONG_PIECES = 950
WORD = re.compile(r"\s+|\S{1,24}\s*")  # cut at 24, because some scripts put no spaces between words


class DemoProvider:
    """The same question always gets the same answer, a piece every `delay` seconds.

    - `demo` explains itself in Markdown, and with `ultra_thinking` says first what it is going to do;
    - `echo` gives back the last message of the user, word by word and exactly;
    - `long` writes about 100,000 characters, a line at a time, each with its number: 0001, 0002, …

    Every piece counts as a token, so `max_tokens` and the usage are about words (lines for `long`).
    """

    def __init__(self, delay: float) -> None:
        self._delay = delay

    @property
    def info(self) -> ProviderInfo:
        return ProviderInfo(
            id="demo",
            name="Demo",
            ready=True,
            reason=None,
            default_model=DEMO_DEFAULT,
            models=DEMO,
            accepts_any_model=False,
        )

    async def stream(self, prompt: Prompt) -> AsyncIterator[Delta]:
        pieces = answer(prompt)
        sent = pieces[: prompt.max_tokens]
        for piece in sent:
            await asyncio.sleep(self._delay)  # also with 0: it lets everybody else have a turn
            yield piece
        yield Usage(input_tokens=count_words(prompt), output_tokens=len(sent))
        yield Finish("stop" if len(sent) == len(pieces) else "length")

    async def aclose(self) -> None:
        """There is nothing to close."""


def answer(prompt: Prompt) -> Sequence[Text | Thinking]:
    """All pieces of the answer in their order. Raises ProviderError for a model that does not exist."""
    if prompt.model not in ANSWERS:
        raise ProviderError("provider_bad_request", f"The demo has the models {', '.join(ANSWERS)}.")
    return list(ANSWERS[prompt.model](prompt))


def explain(prompt: Prompt) -> Iterable[Text | Thinking]:
    if prompt.ultra_thinking:
        yield from map(Thinking, words(THOUGHTS))
    yield from map(Text, words(ANSWER.replace("{question}", quote(prompt.turns[-1].content))))


def echo(prompt: Prompt) -> Iterable[Text | Thinking]:
    return map(Text, words(prompt.turns[-1].content))


def write_long(prompt: Prompt) -> Iterable[Text | Thinking]:
    return (Text(long_piece(number)) for number in range(1, LONG_PIECES + 1))


ANSWERS: dict[str, Callable[[Prompt], Iterable[Text | Thinking]]] = {
    "demo": explain,
    "echo": echo,
    "long": write_long,
}


def words(text: str) -> list[str]:
    """`text` in pieces of about a word, with the space behind it; joined they are `text` again."""
    return WORD.findall(text)


def count_words(prompt: Prompt) -> int:
    # Not by `words`: of a conversation of megabytes that would hold everybody up.
    return sum(len(text.split()) for text in (prompt.system or "", *(turn.content for turn in prompt.turns)))


def quote(question: str) -> str:
    """The start of the question as a quotation in Markdown."""
    question = question.strip()
    if len(question) > MAX_QUOTED:
        question = question[:MAX_QUOTED].rstrip() + " …"
    return "\n".join(f"> {line}".rstrip() for line in question.splitlines())


def long_piece(number: int) -> str:
    """Line `number` of the long answer: chapters of 25 lines with prose, code and a list."""
    place = (number - 1) % 25
    sentence = SENTENCES[number % len(SENTENCES)]
    if place == 0:
        return f"## {number:04} · Chapter {number // 25 + 1}\n\n"
    if place < 15:
        return f"{number:04} {sentence}\n\n"
    if place < 20:
        opening, closing = "```python\n" * (place == 15), "```\n\n" * (place == 19)
        return f"{opening}print({number}, {sentence!r})  # {number:04}\n{closing}"
    return f"- **{number:04}** {sentence}\n" + "\n" * (place == 24)


SENTENCES = (
    "A log only ever grows at its end, and that is why two readers of it can never come to disagree.",
    "Whoever remembers the last thing they read can be given the next one, however long they were away.",
    "What is shown to somebody was written down before, so that a crash takes back nothing that they saw.",
    "A slow reader costs the writer nothing: it asks for more when it is ready, and nobody waits for it.",
    "A number on each line is a small thing, but it turns “I think that something is missing” into a fact.",
    "Leaving is not cancelling: the answer goes on to be written, and whoever comes back finds all of it.",
    "The network may be fast or slow, or gone for a while; the text must be the same in the end.",
)

THOUGHTS = """\
There is no model behind this, so there is nothing to reason about; these words only show where the \
thinking of a real one would appear. It comes before the answer, has a place of its own, and is kept with \
it. The plan: say plainly what this is, repeat the question, show what an answer may contain, and suggest \
a few things that are worth trying while it is still being written.
"""

ANSWER = """\
# This is a demonstration

No AI is answering. The text was written in advance, and it arrives slowly so that you can watch what \
Xionimus does with the answers of a real model. You asked:

{question}

## Try this now

While these words are still appearing:

| Do this | What should happen |
| --- | --- |
| Reload the page | The answer goes on where it was: no word twice, none missing |
| Open a second tab | Both tabs show the same words |
| Press **Stop** | The answer ends there and keeps its text |
| Stop the server and start it again | All you read is still there; the answer says that it was cut short |

Then choose another model: `echo` repeats what you say, and `long` writes 100,000 characters in numbered \
lines, so that you can check that **nothing** got lost.

## Read it from your own program

An answer is a stream that any HTTP client can read. In Python:

```python
import httpx

url = "http://localhost:8000/api/sessions/first/messages"
with httpx.stream(
    "POST", url, json={"content": "Hello"}, headers={"Accept": "text/plain"}, timeout=None
) as answer:
    for piece in answer.iter_text():
        print(piece, end="", flush=True)
```

In the browser, every conversation is a log that can be followed from any place in it:

```javascript
const log = new EventSource("/api/sessions/first/events?after=0");
log.addEventListener("chunk", (event) => console.log(JSON.parse(event.data).content));
```

The [API description](/docs) has the rest.

## Get real answers

1. Set `OPENAI_API_KEY`, `ANTHROPIC_API_KEY` or `PERPLEXITY_API_KEY`, in the environment or in a file \
named `.env`.
2. Start the server again.
3. Choose the provider and ask your question once more.

Models on your own machine work too: `XIONIMUS_EXTRA_PROVIDERS` takes the address of any server that \
speaks the OpenAI format.
"""

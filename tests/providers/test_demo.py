import asyncio
import re
from collections.abc import Sequence

import pytest

from server.chat.errors import ProviderError
from server.chat.provider import Delta, Finish, Prompt, Text, Thinking, Turn, Usage
from server.providers.demo import LONG_PIECES, DemoProvider

pytestmark = pytest.mark.anyio


def ask(content: str, model: str = "demo", *, think: bool = False, max_tokens: int | None = None) -> Prompt:
    return Prompt(model, [Turn("user", content)], ultra_thinking=think, max_tokens=max_tokens)


async def deltas(prompt: Prompt) -> Sequence[Delta]:
    return [delta async for delta in DemoProvider(delay=0).stream(prompt)]


def text(answer: Sequence[Delta]) -> str:
    return "".join(delta.content for delta in answer if isinstance(delta, Text))


async def test_needs_no_key_and_offers_its_models() -> None:
    info = DemoProvider(delay=0).info
    assert info.ready
    assert info.default_model == "demo"
    for model in info.models:
        assert text(await deltas(ask("Hello", model.id)))


async def test_says_plainly_that_no_ai_is_answering_and_repeats_the_question() -> None:
    answer = text(await deltas(ask("What is this?\n\nReally?")))
    assert "No AI is answering." in answer
    assert "> What is this?\n>\n> Really?\n" in answer


async def test_shows_what_markdown_can_do() -> None:
    answer = text(await deltas(ask("What is this?")))
    for element in ("# ", "\n1. ", "| --- |", "```python\n", "```javascript\n", "](", "**", "`echo`"):
        assert element in answer
    assert 1_500 <= len(answer) <= 2_500


async def test_a_long_question_is_shortened() -> None:
    answer = text(await deltas(ask("why? " * 10_000)))
    assert "why? …\n" in answer
    assert len(answer) <= 2_500


async def test_the_same_question_gets_the_same_answer() -> None:
    assert await deltas(ask("Again?")) == await deltas(ask("Again?"))


async def test_thinks_first_when_asked_to() -> None:
    answer = await deltas(ask("Think!", think=True))
    kinds = [type(delta) for delta in answer]
    assert kinds == sorted(kinds, key=[Thinking, Text, Usage, Finish].index)
    assert Thinking in kinds
    assert Thinking not in map(type, await deltas(ask("Think!")))


@pytest.mark.parametrize(
    "words",
    ["Hello", "  two\n\n words\t", "日本語" * 50, "👩‍👩‍👧 é ﷽", "\u2028", "x" * 100],
)
async def test_echo_is_exact(words: str) -> None:
    answer = await deltas(ask(words, "echo"))
    assert text(answer) == words
    assert all(len(delta.content.rstrip()) <= 24 for delta in answer if isinstance(delta, Text))


async def test_echo_repeats_the_last_message_only() -> None:
    turns = [Turn("user", "first"), Turn("assistant", "answer"), Turn("user", "last one")]
    answer = await deltas(Prompt("echo", turns, system="Be brief."))
    assert list(answer) == [
        Text("last "),
        Text("one"),
        Usage(input_tokens=6, output_tokens=2),
        Finish("stop"),
    ]


async def test_every_piece_of_the_long_answer_has_its_number() -> None:
    answer = await deltas(ask("Go on", "long"))
    pieces = [delta.content for delta in answer if isinstance(delta, Text)]
    assert [re.findall(r"\b\d{4}\b", piece) for piece in pieces] == [
        [f"{number:04}"] for number in range(1, LONG_PIECES + 1)
    ]
    assert 95_000 <= len("".join(pieces)) <= 105_000
    assert "```python\n" in "".join(pieces)


@pytest.mark.parametrize("think", [True, False])
async def test_max_tokens_cuts_the_answer(think: bool) -> None:
    whole, cut = (
        await deltas(ask("Hello", think=think)),
        await deltas(ask("Hello", think=think, max_tokens=7)),
    )
    assert cut[:7] == whole[:7]
    assert isinstance(cut[7], Usage)
    assert cut[7].output_tokens == 7
    assert cut[8:] == [Finish("length")]


async def test_max_tokens_of_the_whole_length_cuts_nothing() -> None:
    assert (await deltas(ask("one two", "echo", max_tokens=2)))[-1] == Finish("stop")


async def test_a_model_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ProviderError) as refused:
        await deltas(ask("Hello", "gpt"))
    assert refused.value.code == "provider_bad_request"


async def test_without_a_delay_everybody_else_still_has_a_turn() -> None:
    turns = 0

    async def somebody_else() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(somebody_else())
    answer = await deltas(ask("Hello"))
    task.cancel()
    assert turns >= len(answer) - 2


async def test_the_delay_lies_between_the_pieces() -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    async for _ in DemoProvider(delay=0.01).stream(ask("one two three four five", "echo")):
        pass
    assert loop.time() - start >= 0.049

"""Reasoning inside the text, told from it wherever the text is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.chat.provider import Delta, Text, Thinking
from server.providers.thoughts import ThoughtSplitter


def split(*pieces: str) -> list[Delta]:
    splitter = ThoughtSplitter()
    return [delta for piece in pieces for delta in splitter.feed(piece)] + splitter.end()


@pytest.mark.parametrize(
    ("pieces", "deltas"),
    [
        (["<think>a</think>b"], [Thinking("a"), Text("b")]),
        (["<thi", "nk>a</th", "ink>b"], [Thinking("a"), Text("b")]),
        (["<think>", "a</thin", "g>", "b"], [Thinking("a"), Thinking("</thing>"), Thinking("b")]),
        (["<think></think>"], []),
        (["a <think>b</think>"], [Text("a <think>b</think>")]),
        (["<think>a</think>b", "<think>c</think>"], [Thinking("a"), Text("b"), Text("<think>c</think>")]),
        (["<thin"], [Text("<thin")]),
        (["<think>a</thin"], [Thinking("a"), Thinking("</thin")]),
        (["<", "b>"], [Text("<b>")]),
        (["\n", " <think>", "a</think>b"], [Thinking("a"), Text("b")]),
        (["\n", "a"], [Text("\na")]),
        ([" \n"], [Text(" \n")]),
        ([" " * 63, "\n<think>a"], [Thinking("a")]),
        ([" " * 65 + "<think>a"], [Text(" " * 65 + "<think>a")]),
        ([" " * 64, "\n", "<think>", " "], [Text(" " * 64 + "\n"), Text("<think>"), Text(" ")]),
    ],
)
def test_reasoning_is_told_from_the_answer(pieces: list[str], deltas: list[Delta]) -> None:
    assert split(*pieces) == deltas


@pytest.mark.parametrize(
    ("pieces", "thoughts", "text"),
    [
        (["Hm", "m.</thi", "nk>b"], "Hmm.", "b"),
        (["\n", "<think>", "Hm</think>b"], "Hm", "b"),  # it says the tag itself after all
        (["</think>b</think>"], "", "b</think>"),
        (["<thi"], "<thi", ""),
        (["a"], "a", ""),
    ],
)
def test_reasoning_that_the_template_has_begun(pieces: list[str], thoughts: str, text: str) -> None:
    splitter = ThoughtSplitter(begun=True)
    deltas = [delta for piece in pieces for delta in splitter.feed(piece)] + splitter.end()
    assert (said(deltas, Thinking), said(deltas, Text)) == (thoughts, text)


@given(
    st.lists(
        st.sampled_from(["<think>", "</think>", "<", "/", "think>", "</thi", "a", " ", " " * 40]), max_size=12
    ).map("".join),
    st.sets(st.integers(0, 200)),
)
def test_where_the_text_is_cut_makes_no_difference(text: str, cuts: set[int]) -> None:
    edges = sorted({0, len(text), *(at for at in cuts if at < len(text))})
    pieces = [text[start:end] for start, end in pairwise(edges)]
    for kind in (Text, Thinking):
        assert said(split(*pieces), kind) == said(split(*text), kind) == said(split(text), kind)


def said(deltas: list[Delta], kind: type[Text] | type[Thinking]) -> str:
    return "".join(delta.content for delta in deltas if isinstance(delta, kind))

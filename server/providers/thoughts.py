"""Reasoning inside the text: Perplexity sends it so, Groq, LM Studio and vLLM if they are not told otherwise."""

from __future__ import annotations

from server.chat.provider import Delta, Text, Thinking

OPENING, CLOSING = "<think>", "</think>"
MOST_BLANKS = 64  # before the tag: some models write nothing else for a long time, and that is text


class ThoughtSplitter:
    """Tells the reasoning from the answer, in a text that may begin with `<think>…</think>`, or a blank before it.

    The text may be cut anywhere, also inside a tag; no more than a few blanks and the start of a tag are held back.
    With `begun`, the tag that opens has been said already, in the model's template.
    """

    def __init__(self, *, begun: bool = False) -> None:
        self._begun = begun
        self._held = ""
        self._thinking: bool | None = None  # None as long as the text may still begin with the tag

    def feed(self, content: str) -> list[Delta]:
        if self._thinking is False:
            return [Text(content)]
        content, self._held = self._held + content, ""
        if self._thinking is None:
            content = self._begin(content)
        if self._thinking:
            return self._think(content)
        return [Text(content)] if content else []

    def end(self) -> list[Delta]:
        if not self._held:
            return []
        thinking = self._begun if self._thinking is None else self._thinking
        return [Thinking(self._held) if thinking else Text(self._held)]

    def _begin(self, content: str) -> str:
        text = content.lstrip()
        may_be = len(content) - len(text) <= MOST_BLANKS
        if may_be and len(text) < len(OPENING) and OPENING.startswith(text):
            self._held = content
            return ""
        opens = may_be and text.startswith(OPENING)
        self._thinking = opens or self._begun
        return text.removeprefix(OPENING) if opens else content

    def _think(self, content: str) -> list[Delta]:
        thoughts, tag, text = content.partition(CLOSING)
        if tag:
            self._thinking = False
        else:
            keep = overlap(thoughts, CLOSING)
            thoughts, self._held = thoughts[: len(thoughts) - keep], thoughts[len(thoughts) - keep :]
        return [kind(piece) for kind, piece in ((Thinking, thoughts), (Text, text)) if piece]


def overlap(text: str, tag: str) -> int:
    """How many characters at the end of `text` may be the start of `tag`."""
    return next(size for size in range(len(tag) - 1, -1, -1) if text.endswith(tag[:size]))

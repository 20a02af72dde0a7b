"""An answer while it is written: from a provider's deltas to entries of the log.

One append is under way at a time. What arrives until its turn comes goes along, and what arrives later with the
next: so a log that keeps up gets every delta as a chunk of its own, at once, and a busy one gets fewer and longer
chunks. Deltas of one read from the provider go together, and those of the last one with the end: each append is a write
to the disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

from server.chat import transcript
from server.chat.models import Message
from server.chat.provider import Delta, Finish, Sources, Text, Thinking, Usage
from server.chat.tally import Tally
from server.streaming.events import Entry, Event
from server.streaming.log import Claim, EventLog

WRITTEN = (Text, Thinking)
MAX_CHUNK = 16_384  # characters: an event stays far below the 512 KiB a line that some clients can take
MAX_PENDING = 65_536  # characters: beyond this the provider is read no further until the log has caught up


class Surrogates:
    """Joins UTF-16 surrogates that a provider cut apart; one that stays alone becomes U+FFFD."""

    def __init__(self) -> None:
        self._high = ""

    def add(self, text: str) -> str:
        if not self._high and text.isascii():
            return text
        text = self._high + text
        self._high = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return _joined(text[:-1] if self._high else text)

    def rest(self) -> str:
        rest, self._high = self._high, ""
        return _joined(rest)


def _joined(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


class Draft:
    """`failed` is called once, with what an append raised."""

    def __init__(
        self,
        log: EventLog,
        message: Message,
        claim: Claim,
        failed: Callable[[BaseException], None],
        tally: Tally | None = None,
    ) -> None:
        self.usage: Usage | None = None
        self.finish: Finish | None = None
        self.sources: list[Mapping[str, str]] = []
        self.size = 0  # of text, reasoning and sources so far, in characters
        self._log = log
        self._message = message
        self._claim = claim
        self._failed = failed
        self._tally = tally or Tally()
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._surrogates = {Text: Surrogates(), Thinking: Surrogates()}
        self._offset = 0  # of the next chunk
        self._chunks = 0
        self._thoughts = 0
        self._waiting: list[tuple[type, list[str]]] = []
        self._unsent = 0  # characters that no append has taken yet
        self._entries: list[Entry] = []  # made, and not yet known to be in the log
        self._append: asyncio.Future[Sequence[Event]] | None = None
        self._taken = False  # its turn has come
        self._over = False
        self._begun_at = 0.0

    @property
    def content(self) -> str:
        return "".join(self._text)

    @property
    def thinking(self) -> str:
        return "".join(self._thinking)

    @property
    def has_text(self) -> bool:
        return bool(self._text)

    @property
    def congested(self) -> bool:
        return self._unsent > MAX_PENDING

    def add(self, delta: Delta) -> None:
        if isinstance(delta, WRITTEN):
            content = self._surrogates[type(delta)].add(delta.content)
            if content:
                self._write(type(delta), content)
        elif isinstance(delta, Sources):
            self._add_sources(
                [{"url": _joined(source.url), "title": _joined(source.title)} for source in delta.sources]
            )
        elif isinstance(delta, Usage):
            self.usage = delta
        else:
            self.finish = delta

    def tell(self, entry: Entry) -> None:
        """Append an entry behind everything that came before it."""
        self._make_entries()
        self._entries.append(entry)
        self._unsent += len(entry.body)
        self._begin()

    def think_anew(self) -> None:
        """Another attempt begins: reasoning of the last one is void, and half a character of its text."""
        self._thinking.clear()
        self._surrogates = {Text: Surrogates(), Thinking: Surrogates()}

    async def settle(self) -> None:
        """Wait until everything handed over is in the log, or an append has failed."""
        while (append := self._append) is not None:
            await asyncio.wait([append])
            self._end(append)  # its callback may not have come yet

    async def rest(self) -> list[Entry]:
        """The entries that are not in the log yet; to be called once, at the end."""
        self._over = True
        if self._taken:
            await self.settle()
        self._append = None
        for kind, surrogates in self._surrogates.items():
            content = surrogates.rest()
            if content:
                self._write(kind, content)
        self._make_entries()
        return self._entries

    def _add_sources(self, found: Sequence[Mapping[str, str]]) -> None:
        new = [source for source in found if source not in self.sources]  # another attempt finds the same again
        if new:
            self.sources += new
            self.size += sum(len(source["url"]) + len(source["title"]) for source in new)
            self.tell(transcript.sources(self._message.id, new))

    def _write(self, kind: type, content: str) -> None:
        if kind is Text:
            self._text.append(content)
        else:
            self._thinking.append(content)
        if self._waiting and self._waiting[-1][0] is kind:
            self._waiting[-1][1].append(content)
        else:
            self._waiting.append((kind, [content]))
        self.size += len(content)
        self._unsent += len(content)
        self._begin()

    def _begin(self) -> None:
        if self._append is None and not self._over:
            self._begun_at = monotonic()
            self._append = self._log.append(self._message.stream, self._take, self._claim)
            self._append.add_done_callback(self._end)

    def _take(self) -> Sequence[Entry]:
        """What is appended, now that its turn has come; nothing if it goes with the end."""
        if self._over or self.finish is not None:
            return ()
        self._taken = True
        self._make_entries()
        self._unsent = 0
        return tuple(self._entries)

    def _end(self, append: asyncio.Future[Sequence[Event]]) -> None:
        error = append.exception()  # looked at in any case, or asyncio complains
        if append is not self._append:
            return
        self._append = None
        self._taken = False
        if error is not None:
            self._failed(error)
            return
        events = append.result()
        if events:
            self._tally.events += len(events)
            self._tally.visible.add(monotonic() - self._begun_at)
            self._entries = self._entries[len(events) :]
        if self._unsent and self.finish is None:
            self._begin()

    def _make_entries(self) -> None:
        for kind, parts in self._waiting:
            content = "".join(parts)
            for start in range(0, len(content), MAX_CHUNK):
                self._entries.append(self._entry(kind, content[start : start + MAX_CHUNK]))
        self._waiting.clear()

    def _entry(self, kind: type, content: str) -> Entry:
        if kind is Thinking:
            self._thoughts += 1
            return transcript.thinking(self._message.id, self._thoughts, content)
        self._chunks += 1
        entry = transcript.chunk(self._message.id, self._chunks, self._offset, content)
        self._offset += len(content)
        return entry


def estimate_tokens(text: str) -> int:
    """About four characters a token: what the vendors name as a rule of thumb for English."""
    return -(-len(text) // 4)


def usage_of(draft: Draft, prompt: Sequence[Any]) -> dict[str, Any]:
    """What the provider counted, or an estimate that says so."""
    if draft.usage is not None:
        return {
            "input_tokens": draft.usage.input_tokens,
            "output_tokens": draft.usage.output_tokens,
            "source": "provider",
        }
    return estimated_usage(prompt, draft.content + draft.thinking)


def estimated_usage(prompt: Sequence[Any], written: str) -> dict[str, Any]:
    return {
        "input_tokens": sum(estimate_tokens(turn.content) for turn in prompt),
        "output_tokens": estimate_tokens(written),
        "source": "estimated",
    }

"""The application over a real database, with providers that say what a test wants."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from server.chat.errors import ProviderError, StorageUnavailable, UnknownModel
from server.chat.generator import Generator
from server.chat.models import Message
from server.chat.patience import Limits
from server.chat.provider import Delta, Finish, Prompt, Provider, ProviderInfo, Text
from server.chat.service import ChatService, How, Question
from server.chat.store import Accepted
from server.storage.database import Connection, Database
from server.streaming.events import Event
from tests.storage.kept import OWNER, Kept, keep, types

Step = Delta | Exception | asyncio.Event
"""Something a provider says, raises, or waits for."""

ALIVE = asyncio.Event()
"""A sign of life that is no delta."""

QUICK = Limits(first_delay=0.001)


def answering(*texts: str) -> list[Step]:
    return [*map(Text, texts), Finish("stop")]


def failing(code: str = "provider_overloaded", *, retryable: bool = True, after: float | None = None) -> ProviderError:
    return ProviderError(code, "it failed", retryable=retryable, retry_after=after)  # type: ignore[arg-type]


class Scripted:
    """Plays one script for each request, the last one again and again."""

    def __init__(self, *scripts: Sequence[Step], name: str = "scripted") -> None:
        self.info = ProviderInfo(name, name, True, None, f"{name}-1", [], True)
        self.prompts: list[Prompt] = []
        self.open = 0
        self.begun = asyncio.Event()
        self.left = asyncio.Event()
        self._scripts = scripts

    async def stream(self, prompt: Prompt) -> AsyncIterator[Delta]:
        script = self._scripts[min(len(self.prompts), len(self._scripts) - 1)]
        self.prompts.append(replace(prompt, heard=lambda: None))
        self.begun.set()
        self.open += 1
        try:
            for step in script:
                if isinstance(step, Exception):
                    raise step
                if step is ALIVE:
                    prompt.heard()
                elif isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    yield step
        finally:
            self.open -= 1
            self.left.set()

    async def aclose(self) -> None:
        pass


class Known:
    """Providers by their names; the first is the default."""

    def __init__(self, *providers: Scripted) -> None:
        self._providers: Mapping[str, Scripted] = {provider.info.id: provider for provider in providers}
        self.default = providers[0].info.id

    def forget(self, provider: str) -> None:
        self._providers = {name: known for name, known in self._providers.items() if name != provider}

    def __getitem__(self, provider: str) -> Provider:
        return self._providers[provider]

    def infos(self) -> Sequence[ProviderInfo]:
        return [provider.info for provider in self._providers.values()]

    def resolve(self, provider: str | None, model: str | None, api_keys: Mapping[str, str]) -> tuple[str, str]:
        provider = provider or self.default
        if provider not in self._providers:
            raise UnknownModel(f"there is no provider {provider}")
        return provider, model or f"{provider}-1"


@dataclass
class Chat:
    kept: Kept
    generator: Generator
    service: ChatService
    provider: Scripted
    known: Known

    async def ask(self, content: str = "Hello?", session: str = "s", owner: str = OWNER, **how: Any) -> Accepted:
        return await self.service.ask(owner, Question(session, content), How(**how))

    async def end(self, accepted: Accepted) -> Message:
        """The answer when it has ended."""
        assert await self.service.ended(accepted.answer.id, 10)
        return await self.message(accepted)

    async def message(self, accepted: Accepted) -> Message:
        return (await self.kept.store.message(OWNER, accepted.answer.id)).message

    async def answer(self, content: str = "Hello?", **how: Any) -> Message:
        return await self.end(await self.ask(content, **how))

    async def events(self, message: Message) -> list[Event]:
        """Those of one answer."""
        everything = await self.kept.events(message.stream, message.after)
        return [event for event in everything if event.message_id == message.id]

    async def until(self, accepted: Accepted, kind: str, count: int = 1) -> list[Event]:
        """The answer's events when there are `count` of a kind."""
        log, message = self.kept.log, accepted.answer
        while types(found := await self.events(message)).count(kind) < count:
            await log.wait(message.stream, (await log.span(message.stream)).tail, 5)
        return found


@asynccontextmanager
async def chatting(
    path: Path,
    *providers: Scripted,
    limits: Limits = QUICK,
    fallback: tuple[str, str] | None = None,
    max_answers: int = 100,
) -> AsyncIterator[Chat]:
    async with keep(path) as kept:
        providers = providers or (Scripted(answering("Hello", "!")),)
        known = Known(*providers)
        generator = Generator(kept.log, kept.store, known, limits, fallback=fallback, jitter=lambda: 0.5)
        service = ChatService(
            kept.log,
            kept.store,
            generator,
            known,
            heartbeat=15,
            max_answers=max_answers,
            retention=timedelta(days=1),
        )
        yield Chat(kept, generator, service, providers[0], known)
        await service.drain(0)


@dataclass
class Disk:
    """Under a database: it can be full, and it can hang."""

    database: Database
    room: float = math.inf  # writes that still fit
    refusals: asyncio.Queue[None] = field(default_factory=asyncio.Queue)
    works: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._write: Callable[[Callable[[Connection], Any]], Awaitable[Any]] = self.database.write
        self.database.write = self.write  # type: ignore[method-assign]
        self.works.set()

    async def write(self, work: Callable[[Connection], Any]) -> Any:
        self.reached.set()
        await self.works.wait()
        if self.room <= 0:
            self.refusals.put_nowait(None)
            raise StorageUnavailable("the disk is full")
        self.room -= 1
        return await self._write(work)

    def hang(self) -> None:
        self.works.clear()
        self.reached.clear()

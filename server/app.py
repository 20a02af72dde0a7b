"""The composition root: the only module that knows all others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

from sse_starlette.sse import AppStatus
from starlette.applications import Starlette

from server import __version__, logs
from server.access.gate import Gate
from server.access.hosts import Hosts, is_loopback
from server.access.limits import CallerLimits
from server.access.origins import Origins
from server.access.sign_in import SignIn
from server.access.tickets import Tickets, TicketsAPI
from server.access.tokens import Tokens
from server.api import errors, openapi, page
from server.api.health import HealthAPI
from server.api.messages import MessagesAPI
from server.api.metrics import MetricsAPI, ServerCollector
from server.api.operation import routes_of
from server.api.providers import ProvidersAPI
from server.api.reading import LogResponses
from server.api.sessions import SessionsAPI
from server.api.stream import StreamAPI
from server.api.websocket import WebSocketAPI, nowhere
from server.chat.errors import ChatError, StorageUnavailable
from server.chat.generator import Generator
from server.chat.patience import Limits
from server.chat.recovery import recover
from server.chat.service import ChatService
from server.providers.registry import ProviderRegistry, build_providers
from server.settings import Settings, SettingsError, load_settings, sqlite_path
from server.storage.database import Database, DatabaseRefused
from server.storage.event_log import SqliteEventLog
from server.storage.migrations import SchemaRefused, migrate
from server.storage.store import SqliteStore
from server.streaming.measures import LoopLag
from server.transports.compression import StreamCompression
from server.transports.connections import Connections
from server.transports.outside import Outside

logger = logging.getLogger(__name__)

HOUSEKEEPING = 600.0  # seconds between looks for what has expired
INDEXING = 1.0  # seconds by which the search's index is behind

# In a wheel the page lies inside the package; in a checkout beside it. What was fetched is always inside.
_PACKAGE = Path(__file__).parent
VENDOR = _PACKAGE / "static" / "vendor"
STATIC = _PACKAGE / "static" if (_PACKAGE / "static" / "index.html").exists() else _PACKAGE.parent / "static"


class StartRefused(Exception):
    """The server cannot start; the message says why, and what to do."""


class Application:
    """Everything that lives as long as the server. `asgi` is what uvicorn serves."""

    def __init__(self, settings: Settings) -> None:
        refuse_strangers(settings)
        self.settings = settings
        self.providers: ProviderRegistry = build_providers(settings)
        self._database = Database(sqlite_path(settings.database_url))
        self._log = SqliteEventLog(self._database)
        self._store = SqliteStore(self._database, self._log, settings.max_queued)
        self._generator = Generator(
            self._log,
            self._store,
            self.providers,
            limits_of(settings),
            fallback=self._fallback(),
        )
        self.service = ChatService(
            self._log,
            self._store,
            self._generator,
            self.providers,
            heartbeat=settings.heartbeat,
            max_answers=settings.max_answers,
            max_answers_each=settings.caller_answers if settings.tokens else None,
            retention=timedelta(seconds=settings.retention),
        )
        self.connections = Connections(settings.heartbeat, settings.stream_max_age)
        self._lag = LoopLag()
        self._tokens = Tokens(settings.tokens)
        self._tickets = Tickets()
        self.starlette = self._starlette()
        self.asgi = self._gate()
        self._opened = False
        self._draining: asyncio.Task[None] | None = None
        # Our streams end themselves: sse-starlette would cut them at the first signal.
        AppStatus.enable_automatic_graceful_drain = False

    def _collector(self) -> ServerCollector:
        return ServerCollector(
            self._generator.tally,
            self._log.writer.tally,
            self.connections,
            self._lag,
            writing=lambda: self.service.answers,
            waiting=lambda: self._log.writer.depth,
        )

    def _fallback(self) -> tuple[str, str] | None:
        settings = self.settings
        if settings.fallback_provider is None:
            return None
        try:
            return self.providers.resolve(settings.fallback_provider, settings.fallback_model, {})
        except ChatError as error:
            raise SettingsError(f"XIONIMUS_FALLBACK_PROVIDER: {error.detail}") from None

    def drain(self) -> asyncio.Task[None]:
        """Begin to stop. Answers get their grace time, and readers of those may see them end."""
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain(), name="drain")
        return self._draining

    async def _drain(self) -> None:
        logger.info("stopping; %d answers have %g s to end", self.service.answers, self.settings.shutdown_grace)
        self.connections.drain(spare=lambda stream: bool(self._generator.active(stream)))
        await self.service.drain(self.settings.shutdown_grace)
        self.connections.drain()

    async def open(self) -> None:
        """Make the storage ready and finish what the last process left. Raises StartRefused."""
        async with AsyncExitStack() as begun:
            begun.push_async_callback(self._database.disconnect)
            try:
                await self._database.connect()
                await self._database.write(migrate)
                self._log.start()
                begun.push_async_callback(self._log.aclose)
                interrupted = await recover(self._store)
            except (DatabaseRefused, SchemaRefused) as refused:
                raise StartRefused(str(refused)) from refused
            except StorageUnavailable as error:
                path = sqlite_path(self.settings.database_url)
                raise StartRefused(f"{path} cannot be made ready: {error.detail}") from error
            begun.pop_all()
        self._opened = True
        if interrupted:
            logger.warning("%d answers had been interrupted by the end of the last process", interrupted)

    @asynccontextmanager
    async def _lifespan(self, asgi: Starlette) -> AsyncIterator[None]:
        try:
            if not self._opened:
                await self.open()
            background = [
                asyncio.create_task(self._keep_house(), name="housekeeping"),
                asyncio.create_task(self._keep_index(), name="indexing"),
                asyncio.create_task(self._lag.watch(), name="loop lag"),
            ]
            yield
            await self.drain()
            for task in background:
                task.cancel()
            await asyncio.wait(background)
            await self.providers.aclose()
            await self._log.aclose()
        finally:
            await self._database.disconnect()

    async def _keep_house(self) -> None:
        while True:
            try:
                await self.service.keep_house()
            except Exception:
                logger.exception("housekeeping failed; it is tried again")
            await asyncio.sleep(HOUSEKEEPING)

    async def _keep_index(self) -> None:
        while True:
            await asyncio.sleep(INDEXING)
            try:
                await self._store.index()
            except StorageUnavailable:
                pass  # what is not indexed is found all the same
            except Exception:
                logger.exception("the search's index is not kept up; what is not in it is found, but more slowly")
                await asyncio.sleep(HOUSEKEEPING)

    def _starlette(self) -> Starlette:
        settings = self.settings
        logs = LogResponses(self.connections, settings.stream_send_timeout)
        streams = StreamAPI(self.service, self.connections)
        sockets = WebSocketAPI(self.service, self.connections, settings.stream_send_timeout)
        described = [
            route
            # Routes are tried in this order: first what is asked for most.
            for part in (
                MessagesAPI(self.service, logs, settings.max_body),
                SessionsAPI(self.service, logs, settings.max_body),
                TicketsAPI(self.service, self._tickets),
                ProvidersAPI(self.providers),
                streams,
                sockets,
                SignIn(self._tokens),
                HealthAPI(self.service, self._store.check),
                MetricsAPI(self._collector()),
            )
            for route in routes_of(part)
        ]
        starlette = Starlette(
            routes=[
                *described,
                *sockets.routes(),
                *streams.websocket_routes(),
                nowhere(),
                *openapi.routes(openapi.describe(described, __version__)),
                *page.routes(STATIC, VENDOR, signs_in=bool(self._tokens)),
            ],
            exception_handlers=errors.handlers(),
            lifespan=self._lifespan,
        )
        # To a whole address, and that of a server behind TLS may well begin with http.
        starlette.router.redirect_slashes = False
        return starlette

    def _gate(self) -> Gate:
        settings = self.settings
        app = Outside(self.starlette)
        return Gate(
            StreamCompression(app) if settings.stream_compression == "gzip" else app,
            Hosts((*settings.allowed_hosts, settings.host.lower())),
            Origins(settings.allowed_origins),
            self._tokens,
            self._tickets,
            CallerLimits(settings.caller_requests, settings.caller_streams),
        )


def limits_of(settings: Settings) -> Limits:
    return Limits(
        first_text_timeout=settings.first_text_timeout,
        delta_timeout=settings.delta_timeout,
        answer_timeout=settings.answer_timeout,
        max_characters=settings.max_answer_characters,
    )


def refuse_strangers(settings: Settings) -> None:
    """Raises SettingsError where anybody could come in."""
    if not settings.tokens and not is_loopback(settings.host):
        raise SettingsError(
            f"XIONIMUS_HOST={settings.host} lets others reach the server, and nobody would have to sign in.\n"
            "Run `xionimus token add NAME` and put the line it prints into .env, or leave XIONIMUS_HOST=127.0.0.1"
        )


def create() -> Gate:
    """For uvicorn's own command line, and for --reload."""
    settings = load_settings()
    logs.configure(settings.log_level, settings.log_format)
    return Application(settings).asgi

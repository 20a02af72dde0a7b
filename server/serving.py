"""uvicorn, told how to stop: a signal first asks the application to drain, then ends the server."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from server import __version__, logs
from server.access.headers import default_headers
from server.app import Application, StartRefused
from server.bounds import BoundedWebSocket, Bounds, http_protocol
from server.settings import Settings

logger = logging.getLogger(__name__)

# Seconds after the grace time: for streams to be told, then for uvicorn to close connections.
FILES = 65_536  # open at once
TELLING = 1.0
CLOSING = 0.5


class Server(uvicorn.Server):
    """With an endless stream open, uvicorn alone would wait for ever.

    The lifespan's shutdown cannot be the trigger: it comes when all connections are gone already.
    """

    def __init__(self, config: uvicorn.Config, application: Application) -> None:
        super().__init__(config)
        self._application = application
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        self._loop = asyncio.get_running_loop()
        on_main_thread = threading.current_thread() is threading.main_thread()
        # A terminal that was closed. Under nohup it is ignored, and stays so.
        if on_main_thread and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            signal.signal(signal.SIGHUP, self.handle_exit)
        await super().serve(sockets)  # type: ignore[arg-type]

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        # Here, not in the lifespan: a refusal is a sentence for a person, and a lifespan tells a traceback.
        try:
            await self._application.open()
        except StartRefused as refused:
            print(f"xionimus: {refused}", file=sys.stderr)
            sys.exit(STARTUP_FAILURE)
        try:
            await super().startup(sockets)  # type: ignore[arg-type]
        except SystemExit:  # uvicorn's log has said why
            settings = self._application.settings
            print(
                f"xionimus: cannot listen on {settings.host}:{settings.port}; choose others with --host and --port, or "
                "XIONIMUS_HOST and XIONIMUS_PORT",
                file=sys.stderr,
            )
            raise
        # What is there now stays for good: looking through it again and again made answers wait. And answers leave
        # nothing behind in cycles: to look through hundreds of them under way for that stopped everything for 50 ms.
        # So only what is new is looked at, after 10,000 new objects; the rest after half a million.
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 50)
        if self.started:
            with suppress(OSError):  # the disk may be full that its output goes to
                print(greeting(self._application, self.servers[0].sockets[0].getsockname()), flush=True)

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        # First give the answers their grace time, and let every stream end in its own way: uvicorn would close
        # WebSockets with a code of its own, and refuse whoever asks what is going on.
        drained, _ = await asyncio.wait(
            {self._application.drain()}, timeout=self._application.settings.shutdown_grace + TELLING
        )
        if not drained:
            logger.warning("the storage takes no more ends of answers; the next start ends them")
            self._die()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=TELLING)
        await super().shutdown(sockets)  # type: ignore[arg-type]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            self._die(sig)  # a second signal: at once
        elif self._loop is not None:
            self._loop.call_soon_threadsafe(self._application.drain)
        super().handle_exit(sig, frame)

    def _die(self, sig: int = signal.SIGTERM) -> None:
        """It costs no more than kill -9 does, and that costs nothing."""
        signal.signal(sig, signal.SIG_DFL)
        signal.raise_signal(sig)


def serve(settings: Settings) -> int:
    """Serve until a signal comes; the status for the shell."""
    application = Application(settings)
    logs.configure(settings.log_level, settings.log_format)
    allow_files()
    server = Server(uvicorn.Config(application.asgi, **options(settings)), application)
    with suppress(KeyboardInterrupt):  # uvicorn raises the signal again when it is done with it
        server.run()
    return 0 if server.started else 1


def allow_files() -> None:
    """As many connections as the system lets us have: its soft limit is often 1,024, and each stream is one."""
    with suppress(ImportError, ValueError, OSError):
        import resource  # not on Windows

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def serve_reloading(settings: Settings) -> None:
    uvicorn.run("server.app:create", factory=True, reload=True, **options(settings))


def options(settings: Settings) -> dict[str, Any]:
    bounds = bounds_of(settings)
    return {
        "host": settings.host,
        "port": settings.port,
        "log_level": logs.uvicorn_level(settings.log_level),
        "log_config": None,
        "access_log": False,  # the gate's is without queries
        "http": http_protocol(bounds),
        "ws": BoundedWebSocket,
        "proxy_headers": bool(settings.trusted_proxies),
        "forwarded_allow_ips": list(settings.trusted_proxies),
        "lifespan": "on",
        "timeout_graceful_shutdown": CLOSING,
        "ws_max_size": 1 << 20,
        "ws_per_message_deflate": settings.stream_compression == "gzip",
        "server_header": False,
    }


def bounds_of(settings: Settings) -> Bounds:
    return Bounds(
        max_headers=settings.max_headers,
        max_head=settings.max_head,
        head_timeout=settings.head_timeout,
        body_timeout=settings.body_timeout,
        stuck=settings.stream_send_timeout,
        headers=default_headers(""),
    )


def greeting(application: Application, address: tuple[str, int]) -> str:
    settings = application.settings
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    ready = [info for info in application.providers.infos() if info.ready]
    missing = [info for info in application.providers.infos() if not info.ready]
    lines = [
        f"Xionimus {__version__} on http://{host}:{address[1]}",
        f"  kept in    {settings.database_url.removeprefix('sqlite:///')}",
        f"  open to    {_visitors(settings)}",
        f"  answering  {', '.join(info.id for info in ready)} (default: {application.providers.default})",
    ]
    if missing:
        lines.append(f"  no key     {', '.join(info.id for info in missing)}: set the key in .env, then start again")
    lines.append("  next       open the address in a browser; the API is described at /docs; Ctrl+C stops")
    return "\n".join(lines)


def _visitors(settings: Settings) -> str:
    if settings.tokens:
        return ", ".join(sorted({token.name for token in settings.tokens})) + ", with a token each"
    return f"whoever reaches {settings.host}; `xionimus token add NAME` lets others in"

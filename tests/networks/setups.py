"""The table of proxies, each with its configuration, and how they are started and ended.

A configuration stands in its file as an operator would write it: listening on port 80, with the server at
127.0.0.1:8000. Here the two are replaced by free ports of the loopback, and a frame is put around it that keeps the
program in the foreground and out of the system's folders.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

HERE = Path(__file__).parent
CONFIGS = HERE / "configs"
SNIPPETS = HERE.parent.parent / "server" / "doctor" / "snippets"
START_TIMEOUT = 30.0  # seconds; mitmproxy takes ten on a busy machine
STOP_TIMEOUT = 10.0


@dataclass(frozen=True)
class Program:
    """`package`: Debian's, or PyPI's with `pypi:`. `listens`: what stands for the port in a configuration, and what
    it becomes. `frame`: what goes around the configuration, which it names by CONFIG or (its text) BODY.
    """

    name: str
    package: str
    command: tuple[str, ...]
    frame: str = "BODY"
    listens: tuple[str, str] = ("PORT", "PORT")

    @property
    def binary(self) -> str | None:
        # Debian keeps servers out of a user's path, and `uv tool install` puts mitmproxy into another folder.
        places = [os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", str(Path.home() / ".local/bin")]
        return shutil.which(self.command[0], path=os.pathsep.join(places))


NGINX = Program(
    "nginx",
    "nginx",
    ("nginx", "-p", "FOLDER", "-c", "CONFIG", "-e", "stderr"),
    """\
daemon off;
master_process off;
pid FOLDER/nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path FOLDER/body;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
BODY
}
""",
    ("listen 80;", "listen 127.0.0.1:PORT;"),
)
HAPROXY = Program("haproxy", "haproxy", ("haproxy", "-db", "-f", "CONFIG"), "BODY", ("bind :80", "bind 127.0.0.1:PORT"))
APACHE = Program(
    "apache2",
    "apache2",
    ("apache2", "-D", "FOREGROUND", "-f", "CONFIG"),
    """\
ServerRoot FOLDER
ServerName localhost
PidFile FOLDER/apache.pid
DefaultRuntimeDir FOLDER
ErrorLog /dev/stderr
Listen 127.0.0.1:PORT
User www-data
Group www-data
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule env_module /usr/lib/apache2/modules/mod_env.so
LoadModule filter_module /usr/lib/apache2/modules/mod_filter.so
LoadModule deflate_module /usr/lib/apache2/modules/mod_deflate.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
BODY
""",
    ("*:80", "127.0.0.1:PORT"),
)
CADDY = Program(
    "caddy",
    "caddy",
    ("caddy", "run", "--adapter", "caddyfile", "--config", "CONFIG"),
    "{\n    admin off\n}\nBODY",
    ("chat.example.org {", "http://127.0.0.1:PORT {\n    bind 127.0.0.1"),
)
LIGHTTPD = Program(
    "lighttpd", "lighttpd", ("lighttpd", "-D", "-f", "CONFIG"), "BODY", ("server.port = 80", "server.port = PORT")
)
VARNISH = Program(
    "varnishd", "varnish", ("varnishd", "-F", "-j", "none", "-n", "FOLDER/n", "-a", "127.0.0.1:PORT", "-f", "CONFIG")
)
SQUID = Program("squid", "squid", ("squid", "-N", "-f", "CONFIG"), "BODY", (":80\n", ":PORT\n"))
TINYPROXY = Program("tinyproxy", "tinyproxy", ("tinyproxy", "-d", "-c", "CONFIG"), "BODY", ("Port 80\n", "Port PORT\n"))
PRIVOXY = Program("privoxy", "privoxy", ("privoxy", "--no-daemon", "CONFIG"), "BODY", (":80\n", ":PORT\n"))
MITMPROXY = Program(
    "mitmdump",
    "pypi:mitmproxy",
    ("mitmdump", "--quiet", "--listen-host", "127.0.0.1", "--listen-port", "PORT", "--set", "confdir=FOLDER"),
)
BOX = Program("python", "", (sys.executable, str(HERE / "boxes.py")))


@dataclass(frozen=True)
class Setup:
    """`ends_on`: the rung on which a client is to end. `arguments` go to the program, besides its own."""

    name: str
    program: Program | None
    config: Path | None = None
    ends_on: Literal["sse", "ndjson", "poll"] = "sse"
    forward: bool = False
    arguments: tuple[str, ...] = field(default=())

    @property
    def missing(self) -> str | None:
        """Why it cannot be started, if so."""
        if self.program is None or self.program.binary is not None:
            return None
        return f"{self.program.command[0]} is not installed ({self.program.package})"


def _own(name: str) -> Path:
    return CONFIGS / f"{name}.conf"


SETUPS = (
    Setup("no proxy", None),
    Setup("nginx, as it comes", NGINX, _own("nginx-default")),
    Setup("nginx, gzip", NGINX, _own("nginx-gzip")),
    Setup("nginx, ignoring X-Accel-Buffering", NGINX, _own("nginx-ignoring")),
    Setup("nginx, gzip, ignoring X-Accel-Buffering", NGINX, _own("nginx-gzip-ignoring"), "poll"),
    Setup("nginx, HTTP/1.0 to the server", NGINX, _own("nginx-http10")),
    Setup("nginx, as advised", NGINX, SNIPPETS / "nginx.conf"),
    Setup("haproxy, as it comes", HAPROXY, _own("haproxy-default")),
    Setup("haproxy, wait-for-body", HAPROXY, _own("haproxy-wait-for-body"), "poll"),
    Setup("haproxy, as advised (http-no-delay)", HAPROXY, SNIPPETS / "haproxy.conf"),
    Setup("Apache, as it comes", APACHE, _own("apache-default")),
    Setup("Apache, deflate", APACHE, _own("apache-deflate")),
    Setup("Apache, as advised", APACHE, SNIPPETS / "apache.conf"),
    Setup("Caddy, as it comes", CADDY, _own("caddy-plain")),
    Setup("Caddy, encode gzip", CADDY, _own("caddy-gzip")),
    Setup("Caddy, as advised", CADDY, SNIPPETS / "caddy.conf"),
    Setup("lighttpd, as it comes", LIGHTTPD, _own("lighttpd-default"), "poll"),
    Setup("lighttpd, stream-response-body", LIGHTTPD, _own("lighttpd-streaming")),
    Setup("Varnish, as it comes", VARNISH, _own("varnish-default")),
    Setup("Varnish, pipe for WebSocket", VARNISH, _own("varnish-pipe")),
    Setup("squid (forward)", SQUID, _own("squid"), forward=True),
    Setup("tinyproxy (forward)", TINYPROXY, _own("tinyproxy"), forward=True),
    Setup("privoxy (forward)", PRIVOXY, _own("privoxy"), "ndjson", forward=True),
    Setup("mitmproxy (forward)", MITMPROXY, None, "poll", forward=True),
    Setup(
        "mitmproxy, stream_large_bodies (forward)", MITMPROXY, None, forward=True,
        arguments=("--set", "stream_large_bodies=1"),
    ),
    Setup("a box that stores and forwards", BOX, None, "poll", arguments=("store", "PORT", "SERVER")),
    Setup("a box that holds one piece back", BOX, None, arguments=("hold", "PORT", "SERVER")),
)  # fmt: skip


class Proxy:
    """A set-up that runs, between its own `port` and the server's."""

    def __init__(self, setup: Setup, folder: Path, port: int, server_port: int) -> None:
        self.setup = setup
        self.port = port
        self._folder = folder
        self._server_port = server_port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text("utf-8", "replace")

    def start(self) -> None:
        """Raises RuntimeError, with what the program said, if it does not listen in time."""
        program = self.setup.program
        if program is None:
            return
        assert program.binary is not None
        arguments = [self._filled(each) for each in (*program.command[1:], *self.setup.arguments)]
        if self.setup.config is not None:
            listens, becomes = program.listens
            body = self.setup.config.read_text("utf-8").replace(listens, becomes)
            (self._folder / "config").write_text(self._filled(program.frame.replace("BODY", body)), "utf-8")
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program.binary, *arguments],
                cwd=self._folder,
                env={**os.environ, "HOME": str(self._folder), "XDG_DATA_HOME": str(self._folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_up()

    def kill(self) -> None:
        """At once, with its children: they are in a process group of their own. Then nothing listens any more."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
            # A child with open connections takes a moment longer than its parent.
            deadline = time.monotonic() + STOP_TIMEOUT
            while self._listens() and time.monotonic() < deadline:
                time.sleep(0.02)

    def _filled(self, text: str) -> str:
        names = {"FOLDER": str(self._folder), "CONFIG": str(self._folder / "config"), "PORT": str(self.port)}
        for name, value in names.items():
            text = text.replace(name, value)
        server = str(self._server_port)
        return text.replace("8000", server).replace("SERVER", server)

    def _wait_until_up(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._listens():
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self.setup.name} did not start:\n{self.log}")

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


@contextmanager
def proxying(setup: Setup, folder: Path, port: int, server_port: int) -> Iterator[Proxy]:
    # Not under pytest's folder: that belongs to its user alone, and some proxies change theirs.
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    proxy = Proxy(setup, folder, port, server_port)
    try:
        proxy.start()
        yield proxy
    finally:
        proxy.kill()


def free_ports(count: int) -> list[int]:
    """Taken all together, so that they differ."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in taken]
    for each in taken:
        each.close()
    return ports

"""The command: what it says before it serves, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from server import __version__
from tests.api.calling import Caller
from tests.serving import ServerProcess, free_port, running
from tests.transports.wire import Wire

MODULE = [sys.executable, "-m", "server"]
SCRIPT = [str(Path(sys.executable).with_name("xionimus"))]
ROOT = Path(__file__).parent.parent

SLOW_TO_IMPORT = {"openai", "anthropic", "httpx", "databases", "sqlalchemy", "starlette", "uvicorn", "server.app"}


def run(command: list[str], folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("XIONIMUS_")}
    environment = {**inherited, "PYTHONPATH": str(ROOT), "COLUMNS": "100", **settings}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=30)


def test_it_tells_its_version(tmp_path: Path) -> None:
    told = run([*MODULE, "--version"], tmp_path)
    assert (told.returncode, told.stdout) == (0, f"xionimus {__version__}\n")


def test_it_takes_as_many_connections_as_the_system_lets_it() -> None:
    code = "import resource; from server.serving import allow_files; allow_files(); "
    code += "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    told = subprocess.run(
        ["sh", "-c", 'ulimit -Sn 256; exec "$0" -c "$1"', sys.executable, code],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    soft, hard = told.stdout.split()
    assert int(soft) == min(65_536, int(hard) if int(hard) > 0 else 65_536)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a device that is full")
def test_it_serves_where_nothing_can_be_printed(tmp_path: Path) -> None:
    port = free_port()
    command = [*MODULE, "--port", str(port), "--database-url", f"sqlite:///{tmp_path / 'x.db'}"]
    with Path("/dev/full").open("w") as full, subprocess.Popen(command, cwd=ROOT, stdout=full) as served:
        until = time.monotonic() + 20
        while served.poll() is None and time.monotonic() < until:
            with suppress(httpx.TransportError):
                assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
                break
            time.sleep(0.1)
        assert served.poll() is None
        served.terminate()


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_needs_nothing_that_is_slow_to_import(tmp_path: Path, option: str) -> None:
    code = f"import sys, atexit; atexit.register(lambda: print(*sys.modules)); sys.argv = ['x', {option!r}]"
    told = run([sys.executable, "-c", f"{code}; from server.__main__ import main; main()"], tmp_path)
    imported = set(told.stdout.split())
    assert "server.__main__" in imported
    assert not imported & SLOW_TO_IMPORT


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["--port", "70000"], ["--nonsense"]])
def test_the_module_and_the_command_are_the_same(tmp_path: Path, arguments: list[str]) -> None:
    module, script = run([*MODULE, *arguments], tmp_path), run([*SCRIPT, *arguments], tmp_path)
    assert (module.returncode, module.stdout, module.stderr) == (script.returncode, script.stdout, script.stderr)


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        ([], {"XIONIMUS_PROT": "1"}, ["XIONIMUS_PROT", "XIONIMUS_PORT"]),
        ([], {"XIONIMUS_PORT": "many"}, ["XIONIMUS_PORT"]),
        (["--port", "70000"], {}, ["XIONIMUS_PORT", "65535"]),
        (["--port", "many"], {}, ["--port", "many"]),
        ([], {"XIONIMUS_HEARTBEAT": "-1"}, ["XIONIMUS_HEARTBEAT"]),
        (["--database-url", "postgres://x"], {}, ["XIONIMUS_DATABASE_URL", "sqlite:///"]),
        (["--log-level", "loud"], {}, ["--log-level", "loud"]),
        ([], {"XIONIMUS_DEFAULT_PROVIDER": "nobody"}, ["XIONIMUS_DEFAULT_PROVIDER", "nobody", "demo"]),
    ],
)
def test_a_mistake_is_told_in_words(
    tmp_path: Path, arguments: list[str], settings: dict[str, str], said: list[str]
) -> None:
    told = run([*MODULE, *arguments], tmp_path, **settings)
    assert told.returncode == 2
    assert "Traceback" not in told.stderr
    assert all(word in told.stderr for word in said), told.stderr


def test_a_misspelt_name_in_the_file_is_told_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("XIONIMUS_HOTS=localhost\n")
    told = run(MODULE, tmp_path)
    assert told.returncode == 2
    assert "XIONIMUS_HOST" in told.stderr


def test_it_greets_with_what_one_needs_to_know(server: ServerProcess) -> None:
    greeting = server.log
    for said in (
        f"Xionimus {__version__} on {server.url}\n",
        str(server.folder / "xionimus.db"),
        "demo (default: demo)",
        "openai, anthropic, perplexity",
        ".env",
    ):
        assert said in greeting


def test_a_port_that_is_taken_is_told_in_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = run([*MODULE, "--port", port, "--database-url", f"sqlite:///{tmp_path}/x.db"], tmp_path)
    assert told.returncode not in (0, -signal.SIGTERM)
    assert port in told.stderr
    assert "already in use" in told.stderr
    assert f"xionimus: cannot listen on 127.0.0.1:{port}; choose others" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_second_server_on_one_file_is_told_in_words(server: ServerProcess, tmp_path: Path) -> None:
    file = server.folder / "xionimus.db"
    told = run([*MODULE, "--port", "0", "--database-url", f"sqlite:///{file}"], tmp_path)
    assert told.returncode not in (0, -signal.SIGTERM)
    assert f"another Xionimus is using {file}" in told.stderr
    assert "--database-url" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_damaged_file_is_told_in_words_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    file.write_bytes(b"SQLite format 3\0" + b"nonsense" * 1_000)
    told = run([*MODULE, "--port", "0", "--database-url", f"sqlite:///{file}"], tmp_path)
    assert told.returncode not in (0, -signal.SIGTERM)
    assert f"{file} is damaged" in told.stderr
    assert ".recover" in told.stderr
    assert "Traceback" not in told.stderr
    assert file.read_bytes() == b"SQLite format 3\0" + b"nonsense" * 1_000


# How it ends.


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[ServerProcess]:
    with running(tmp_path, XIONIMUS_SHUTDOWN_GRACE="30") as server, Caller(server) as caller:
        caller.ask("active", model="long")
        yield server


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_it_at_once(patient: ServerProcess, number: signal.Signals) -> None:
    os.kill(patient.pid, number)
    while httpx.get(f"{patient.url}/api/stream/status").json()["status"] != "draining":
        time.sleep(0.02)
    begun = time.monotonic()
    os.kill(patient.pid, number)
    assert patient.process is not None
    assert patient.process.wait(25) == -number
    assert time.monotonic() - begun < 2
    assert "Traceback" not in patient.log


@pytest.fixture
def at_a_terminal() -> Iterator[None]:
    """Under nohup, which is how some run these tests, the signal would be ignored: rightly."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("at_a_terminal")
def test_a_closed_terminal_ends_it_as_gently(tmp_path: Path) -> None:
    with running(tmp_path, XIONIMUS_SHUTDOWN_GRACE="30") as server, Caller(server) as caller:
        message = caller.ask("active", model="echo")
        assert server.stop(signal.SIGHUP) == -signal.SIGHUP
        assert "stopping; 1 answers have 30 s to end" in server.log
        server.start()
        assert httpx.get(f"{server.url}/api/messages/{message['id']}").json()["status"] == "completed"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, -signal.SIGTERM)])
def test_hundreds_of_open_streams_do_not_hold_it_up(tmp_path: Path, number: int, status: int) -> None:
    with running(tmp_path, XIONIMUS_SHUTDOWN_GRACE="0.5") as server, Caller(server) as caller, ExitStack() as stack:
        caller.ask("active", model="long")
        caller.http.post("/api/sessions", json={"id": "idle"})
        targets = [f"/api/sessions/{name}/events?format={form}" for name in ("active", "idle") for form in FORMS]
        wires = [stack.enter_context(Wire(server.url, target)) for target in targets * 100]
        for wire in wires:
            wire.head()
            wire.chunk()
        begun = time.monotonic()
        assert server.stop(number) == status
        assert time.monotonic() - begun < 0.5 + 2
        assert not any(wire.rest()[1] for wire in wires)
        assert "Traceback" not in server.log


FORMS = ["sse", "ndjson"]

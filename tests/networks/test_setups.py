"""A proxy that is killed has let go of its port, or the next one would be taken for up and find it in use."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from tests.networks.setups import Program, Setup, free_ports, proxying

# As Varnish does it under load: the child that listens is gone a moment after its parent.
LINGERING = """
import socket, subprocess, sys, time
child = '''
import socket, sys, time
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    sys.stdin.read()
    time.sleep(0.5)
'''
running = subprocess.Popen([sys.executable, "-c", child, *sys.argv[1:]], stdin=subprocess.PIPE, start_new_session=True)
time.sleep(60)
"""


def test_who_is_killed_has_let_go_of_the_port(tmp_path: Path) -> None:
    program = Program("python", "", (sys.executable, "-c", LINGERING))
    setup = Setup("lingering", program, arguments=("PORT",))
    [port] = free_ports(1)
    with proxying(setup, tmp_path / "proxy", port, 0) as proxy:
        proxy.kill()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 1).close()
        proxy.start()
        assert proxy.log == ""

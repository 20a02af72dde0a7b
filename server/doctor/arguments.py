"""The command line of the doctor. Apart from what it does, so that the server starts without loading that."""

from __future__ import annotations

import argparse

MAX_SILENCE = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`run` of what is parsed takes that, and returns the status for the shell."""
    parser.add_argument("url", help="of a running server, as clients reach it: https://chat.example.org")
    parser.add_argument(
        "-H", "--header", action="append", default=[], type=_header, help="to send along: 'Authorization: Bearer …'"
    )
    parser.add_argument("--proxy", metavar="URL", help="go through this proxy, not what the environment says")
    parser.add_argument(
        "--silence",
        metavar="SECONDS",
        type=_silence,
        default=30.0,
        help=f"to try quiet connections for (30; 0: do not; {MAX_SILENCE:g} at most)",
    )
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> int:
    from server.doctor.command import run

    return run(chosen.url, dict(chosen.header), chosen.proxy, chosen.silence)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError("must look like 'Name: value'")
    return name.strip(), value.strip()


def _silence(text: str) -> float:
    seconds = float(text)
    if seconds != 0 and not 0.05 <= seconds <= MAX_SILENCE:
        raise argparse.ArgumentTypeError(f"must be 0, or up to {MAX_SILENCE:g}")
    return seconds

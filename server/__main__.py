"""The command line: `xionimus`, or `python -m server`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from server import __version__
from server.doctor.arguments import add_arguments as add_doctor_arguments
from server.settings import PREFIX, Settings, SettingsError, TokenHash, load_settings, sqlite_path

LOG_LEVELS = ("critical", "error", "warning", "info", "debug")


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = parser().parse_args(arguments)
    if chosen.command is not None:
        return chosen.run(chosen)  # type: ignore[no-any-return]
    overrides = {
        "host": chosen.host,
        "port": chosen.port,
        "database_url": chosen.database_url,
        "log_level": chosen.log_level,
    }
    try:
        settings = load_settings(**overrides)
        return run(settings, chosen.reload)
    except SettingsError as error:
        print(f"xionimus: {error}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="xionimus",
        description="Streams AI answers to people, on any network, and never loses one.",
        epilog=f"Every setting can also be given as {PREFIX}NAME in the environment or in .env.",
    )
    found.add_argument("--host", help="address to listen on (127.0.0.1)")
    found.add_argument("--port", type=int, help="port to listen on (8000)")
    found.add_argument("--database-url", metavar="URL", help="sqlite:////absolute/file.db")
    found.add_argument("--reload", action="store_true", help="start anew when the code changes")
    found.add_argument("--log-level", choices=LOG_LEVELS, help="(info)")
    found.add_argument("--version", action="version", version=f"xionimus {__version__}")
    commands = found.add_subparsers(dest="command", metavar="COMMAND", help="without one, the server is started")
    help_of_doctor = "find out what stands between you and a server, and what it does to streams"
    add_doctor_arguments(commands.add_parser("doctor", help=help_of_doctor, description=help_of_doctor))
    for name, help_of in (
        ("backup", "write a copy of the database, also while the server runs"),
        ("restore", "put a backup in the database's place; what was there is kept beside it"),
    ):
        of_file = commands.add_parser(name, help=help_of, description=help_of)
        of_file.add_argument("file", metavar="FILE", type=Path)
        of_file.set_defaults(run=back_up)
    token = commands.add_parser("token", help="let somebody in").add_subparsers(required=True, metavar="COMMAND")
    add = token.add_parser("add", help="make a token, and show it this once")
    add.add_argument("name", metavar="NAME", help="whose it is")
    add.set_defaults(run=lambda given: add_token(given.name))
    return found


def back_up(given: argparse.Namespace) -> int:
    from server.storage.backup import BackupRefused, back_up, restore

    try:
        path = sqlite_path(load_settings(database_url=given.database_url).database_url)
        if given.command == "backup":
            back_up(path, given.file)
            print(f"{given.file} holds all of {path}")
        else:
            kept = restore(path, given.file)
            print(f"{path} is as {given.file}" + (f"; as it was before, it is kept as {kept}" if kept else ""))
    except (SettingsError, BackupRefused) as error:
        print(f"xionimus: {error}", file=sys.stderr)
        return 1
    return 0


def add_token(name: str) -> int:
    from server.access.tokens import hash_of, new_token

    token = new_token()
    try:
        made = TokenHash(name=name, sha256=hash_of(token))
    except ValidationError:
        print("xionimus: a name has 1 to 64 letters, digits, or _ . @ -", file=sys.stderr)
        return 2
    print(f"The token of {name}, shown only this once:\n\n  {token}\n")
    print("The line for .env, or behind a comma in the one that is there; then start the server again:\n")
    print(f"  {PREFIX}TOKENS={made.name}:{made.sha256}")
    return 0


def run(settings: Settings, reload: bool) -> int:
    # Here, so that --help and --version answer at once.
    from server.serving import serve, serve_reloading

    if reload:
        for name in ("host", "port", "database_url", "log_level"):
            os.environ[PREFIX + name.upper()] = str(getattr(settings, name))
        serve_reloading(settings)
        return 0
    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())

"""The schema, as numbered SQL files, and what brings a file up to the newest of them."""

from __future__ import annotations

import logging
from importlib.resources import files

from server.storage.database import Connection

logger = logging.getLogger(__name__)


class SchemaRefused(Exception):
    """The file was written by a newer version of the program, or by another one."""


def scripts() -> list[str]:
    """The migrations in order; the first brings an empty file to version 1."""
    names = sorted(entry.name for entry in files(__name__).iterdir() if entry.name.endswith(".sql"))
    for number, name in enumerate(names, 1):
        assert name.startswith(f"{number:04}_"), f"{name}: migrations are numbered without gaps"
    return [files(__name__).joinpath(name).read_text("utf-8") for name in names]


def version_of(connection: Connection) -> int:
    """That of the schema; 0 for a file with nothing in it. Raises SchemaRefused."""
    [row] = connection.fetch_all("PRAGMA user_version")
    version: int = row[0]
    if not version and connection.fetch_all("SELECT 1 FROM sqlite_master"):
        raise SchemaRefused("the database belongs to another program")
    if version > len(scripts()):
        raise SchemaRefused(
            f"the database has schema version {version}, this program knows {len(scripts())}: "
            "run the version that wrote it, or a newer one"
        )
    return version


def migrate(connection: Connection) -> int:
    """Bring the schema to the newest version, one transaction a step, and return that version. Raises SchemaRefused."""
    version = version_of(connection)
    steps = scripts()
    if 0 < version < len(steps):
        logger.info("schema version %d becomes %d; older programs refuse it then", version, len(steps))
    for number, script in enumerate(steps[version:], version + 1):
        connection.run_script(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
    return len(steps)

"""A copy of the database, made while a server uses it, and put back while none does.

To copy the file itself is not enough, and putting such a copy back is worse: what was written last lies in the -wal
beside it, and SQLite takes a -wal that was left behind for the new file's.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from datetime import datetime
from itertools import count
from pathlib import Path

from server.storage.database import Connection, DatabaseRefused, belonging_like, damage, lock, reading
from server.storage.migrations import SchemaRefused, version_of


class BackupRefused(Exception):
    """The message says why, and what to do."""


def back_up(path: Path, copy: Path) -> None:
    """Write all that is committed in the database at `path` to a new file, which only its owner can read."""
    if not path.exists():
        raise BackupRefused(f"there is no database at {path}")
    if copy.exists():
        raise BackupRefused(f"{copy} is there already; it is not written over")
    with closing(sqlite3.connect(path)) as source:
        os.replace(_copied(source, path, copy), copy)


def restore(path: Path, copy: Path) -> Path | None:
    """Put `copy` in the place of the database at `path`; the name under which that is kept, None if there was none."""
    if not copy.exists():
        raise BackupRefused(f"there is no backup at {copy}")
    try:
        if problems := damage(copy):
            raise BackupRefused(f"{copy} is damaged ({problems}); nothing was changed")
        with closing(reading(copy)) as source:
            source.row_factory = sqlite3.Row
            if not version_of(Connection(source)):
                raise BackupRefused(f"{copy} has nothing in it; nothing was changed")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = lock(path)
    except SchemaRefused as refused:
        raise BackupRefused(f"{copy} cannot be put at {path}: {refused}; nothing was changed") from None
    except DatabaseRefused as refused:
        raise BackupRefused(str(refused)) from None
    except (sqlite3.Error, OSError) as error:
        raise BackupRefused(f"{copy} cannot be put at {path}: {error}; nothing was changed") from error
    with closing(held), closing(reading(copy)) as source:
        new = _copied(source, copy, path)
        belonging_like(new, path)
        kept = _set_aside(path)
        os.replace(new, path)
    return kept


def _copied(source: sqlite3.Connection, path: Path, target: Path) -> Path:
    """All of `source`, which is the database at `path`, in a file beside `target` that has another name until it is
    whole.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f"{target.name}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise BackupRefused(f"{target} cannot be written: {error.strerror}") from error
    os.close(handle)
    new = Path(name)
    try:
        with closing(sqlite3.connect(new)) as copy:
            source.backup(copy)  # in one step: whoever writes meanwhile is not held up, and does not begin it anew
        if problems := damage(new):
            raise BackupRefused(f"{path} is damaged ({problems}), and so would its copy be")
    except BaseException as error:
        for suffix in ("", "-journal"):
            with suppress(FileNotFoundError):
                os.unlink(f"{new}{suffix}")
        if isinstance(error, sqlite3.Error):
            raise BackupRefused(f"{path}: {error}") from error
        raise
    return new


def _set_aside(path: Path) -> Path | None:
    if not path.exists():
        return None
    when = f"{path.name}.{datetime.now():%Y%m%d-%H%M%S}"
    names = (path.with_name(f"{when}-{number}" if number else when) for number in count())
    aside = next(name for name in names if not name.exists())
    # The -wal first: were it left behind when this is cut off, it would be taken for the backup's.
    for suffix in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            os.replace(f"{path}{suffix}", f"{aside}{suffix}")
    return aside

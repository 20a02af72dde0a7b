"""A copy of the database, made while a server uses it, and put back while none does.

To copy the file itself is not enough, and putting such a copy back is worse: what was written last lies in the -wal
beside it, and SQLite takes a -wal that was left behind for the new file's.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

from server.storage.database import DatabaseRefused, damage, lock


class BackupRefused(Exception):
    """The message says why, and what to do."""


def back_up(path: Path, copy: Path) -> None:
    """Write all that is committed in the database at `path` to a new file, which only its owner can read."""
    if not path.exists():
        raise BackupRefused(f"there is no database at {path}")
    try:
        os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        raise BackupRefused(f"{copy} is there already; it is not written over") from None
    except OSError as error:
        raise BackupRefused(f"{copy} cannot be written: {error.strerror}") from error
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)  # in one step: whoever writes meanwhile is not held up, and does not begin it anew
        if problems := damage(copy):
            raise BackupRefused(f"{path} is damaged ({problems}), and so would its copy be")
    except (sqlite3.Error, BackupRefused) as error:
        copy.unlink()
        raise error if isinstance(error, BackupRefused) else BackupRefused(f"{path}: {error}") from error


def restore(path: Path, copy: Path) -> Path | None:
    """Put `copy` in the place of the database at `path`; the name under which that is kept, None if there was none."""
    if not copy.exists():
        raise BackupRefused(f"there is no backup at {copy}")
    try:
        if problems := damage(copy):
            raise BackupRefused(f"{copy} is damaged ({problems}); nothing was changed")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = lock(path)
    except DatabaseRefused as refused:
        raise BackupRefused(str(refused)) from None
    except (sqlite3.Error, OSError) as error:
        raise BackupRefused(f"{copy} cannot be put at {path}: {error}; nothing was changed") from error
    with closing(held):
        new = path.with_name(f"{path.name}.new")
        new.unlink(missing_ok=True)  # of a try that was cut off
        back_up(copy, new)
        kept = _set_aside(path)
        os.replace(new, path)
    return kept


def _set_aside(path: Path) -> Path | None:
    aside = path.with_name(f"{path.name}.{datetime.now():%Y%m%d-%H%M%S}")
    if path.exists():
        # The -wal first: were it left behind when this is cut off, it would be taken for the backup's.
        for suffix in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                os.replace(f"{path}{suffix}", f"{aside}{suffix}")
        return aside
    return None

"""Rows of the tables as the application's values."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from server.chat.models import Message, Options, Session
from server.storage.database import Row
from server.streaming.events import Cursor

INSERT_MESSAGE = """
    INSERT INTO messages (id, session, parent_id, role, status, content, provider, model, options,
                          created_at, finished_at, after_epoch, after_seq)
    VALUES (:id, :session, :parent_id, :role, :status, :content, :provider, :model, :options,
            :created_at, :finished_at, :after_epoch, :after_seq)
"""

# Everything of a message but the session's id, which stands in another table.
SELECT_MESSAGE = """
    SELECT messages.*, sessions.id AS session_id, sessions.owner
    FROM messages JOIN sessions ON sessions.key = messages.session
"""


def message_of(row: Row) -> Message:
    return Message(
        id=row["id"],
        session_id=row["session_id"],
        parent_id=row["parent_id"],
        role=row["role"],
        status=row["status"],
        created_at=row["created_at"],
        stream=row["session"],
        after=Cursor(row["after_epoch"], row["after_seq"]),
        last_seq=row["last_seq"],
        content=row["content"],
        thinking=row["thinking"],
        sources=tuple(json.loads(row["sources"])),
        provider=row["provider"],
        model=row["model"],
        options=Options(**json.loads(row["options"])),
        finish_reason=row["finish_reason"],
        usage=_json(row["usage"]),
        timings=_json(row["timings"]),
        problem=_json(row["problem"]),
        finished_at=row["finished_at"],
    )


def values_of(message: Message) -> dict[str, Any]:
    """For INSERT_MESSAGE."""
    return {
        "id": message.id,
        "session": message.stream,
        "parent_id": message.parent_id,
        "role": message.role,
        "status": message.status,
        "content": message.content,
        "provider": message.provider,
        "model": message.model,
        # Nearly always the default: to copy it and make it JSON takes longer than its row.
        "options": "{}" if message.options == Options() else json.dumps(asdict(message.options)),
        "created_at": message.created_at,
        "finished_at": message.finished_at,
        "after_epoch": message.after.epoch,
        "after_seq": message.after.seq,
    }


def outcome_of(message: Message) -> dict[str, Any]:
    """What is known of an answer only when it has ended."""
    return {
        "id": message.id,
        "status": message.status,
        "content": message.content,
        "thinking": message.thinking,
        "provider": message.provider,
        "model": message.model,
        "sources": json.dumps(list(message.sources)),
        "finish_reason": message.finish_reason,
        "usage": json.dumps(message.usage),
        "timings": json.dumps(message.timings),
        "problem": json.dumps(message.problem),
        "finished_at": message.finished_at,
    }


def session_of(row: Row, active: tuple[str, ...] = ()) -> Session:
    return Session(row["id"], row["title"], row["created_at"], row["updated_at"], active)


def _json(text: str | None) -> Any:
    return None if text is None else json.loads(text)

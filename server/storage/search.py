"""The search in what was said: by an index that follows a moment behind.

To index a text takes as long as to keep it, for what is written, and many together far less. So a commit lists its
texts in `unindexed`, and these are searched as they are until their turn has come.
"""

from __future__ import annotations

from typing import Any

from server.storage.database import Connection, lowered
from server.storage.transactions import Transaction

MESSAGES = 100  # that are indexed in one transaction,
MERGED_PAGES = 64  # of the index, in one transaction
CHARACTERS = 65_536  # if they are not longer than this together; but always one

# CROSS JOIN: from the few that are not indexed, where SQLite would go through all messages.
SELECT_UNINDEXED = """
    SELECT unindexed.message AS key, COALESCE(LENGTH(content), 0) AS length
    FROM unindexed LEFT JOIN messages ON messages.key = unindexed.message
    ORDER BY unindexed.message LIMIT ?
"""

ANY_UNINDEXED = "SELECT EXISTS (SELECT 1 FROM unindexed)"

INDEX = """
    INSERT INTO message_search (rowid, content)
    SELECT key, content FROM unindexed CROSS JOIN messages ON messages.key = unindexed.message
    WHERE unindexed.message <= ?
"""

# All that somebody has said, and nobody else's.
FOUND_SHORT = """
    SELECT session FROM sessions AS own CROSS JOIN messages ON messages.session = own.key
    WHERE own.owner = :owner AND INSTR(lowered(content), :text)
"""

FOUND = """
    SELECT session FROM messages WHERE key IN (SELECT rowid FROM message_search WHERE message_search MATCH :match)
    UNION ALL
    SELECT session FROM unindexed CROSS JOIN messages ON messages.key = unindexed.message
    WHERE INSTR(lowered(content), :text)
"""


def to_index(connection: Connection) -> bool:
    """Whether there are texts that are not indexed yet."""
    [row] = connection.fetch_all(ANY_UNINDEXED)
    return bool(row[0])


def index_some(transaction: Transaction) -> None:
    """Index the oldest texts that are not yet."""
    last, size = 0, 0
    for row in transaction.fetch_all(SELECT_UNINDEXED, (MESSAGES,)):
        size += row["length"]
        if last and size > CHARACTERS:
            break
        last = row["key"]
    transaction.fetch_all(INDEX, (last,))
    transaction.fetch_all("DELETE FROM unindexed WHERE message <= ?", (last,))


def forget_some(transaction: Transaction, first: bool) -> bool:
    """Write a part of the index anew, without what was deleted; whether there may be more.

    A deletion itself only notes there what is to be left out: https://www.sqlite.org/fts5.html#the_merge_command
    """
    [before] = transaction.fetch_all("SELECT total_changes()")
    pages = -MERGED_PAGES if first else MERGED_PAGES  # the minus: of all parts of the index
    transaction.fetch_all("INSERT INTO message_search (message_search, rank) VALUES ('merge', ?)", (pages,))
    [after] = transaction.fetch_all("SELECT total_changes()")
    return bool(after[0] - before[0] > 1)


def matching(query: str) -> tuple[str, dict[str, Any]]:
    """A condition on sessions of `:owner`. The index knows runs of three characters; shorter ones are looked for."""
    if not query:
        return "", {}
    inside = FOUND_SHORT if len(query) < 3 or "\0" in query else FOUND
    return (
        f" AND (INSTR(lowered(title), :text) OR key IN ({inside}))",
        {"text": lowered(query), "match": '"' + query.replace('"', '""') + '"'},
    )

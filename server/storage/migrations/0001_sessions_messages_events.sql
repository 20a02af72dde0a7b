-- A conversation, and the owner of one log. The key is never used twice; the id is NULL once deleted.
-- oldest_*: the place before the first event that is kept; at first the origin, with seq 0.
CREATE TABLE sessions (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    id TEXT,
    title TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    oldest_run TEXT NOT NULL,
    oldest_seq INTEGER NOT NULL DEFAULT 0,
    UNIQUE (owner, id)
);
CREATE INDEX sessions_newest ON sessions (owner, updated_at DESC, key DESC) WHERE id IS NOT NULL;

-- The log. `body` is the event's JSON without `id` and `type`.
CREATE TABLE events (
    session INTEGER NOT NULL REFERENCES sessions (key),
    seq INTEGER NOT NULL,
    run TEXT NOT NULL,
    type TEXT NOT NULL,
    message_id TEXT,
    body TEXT NOT NULL,
    PRIMARY KEY (session, seq)
) WITHOUT ROWID;

-- What was said. For an assistant message being written, the text is in its events until it ends.
-- after_*, last_seq: its events lie in (after_seq, last_seq].
CREATE TABLE messages (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    session INTEGER NOT NULL REFERENCES sessions (key),
    parent_id TEXT,
    role TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
    status TEXT NOT NULL CHECK (status IN ('streaming', 'completed', 'cancelled', 'failed', 'interrupted')),
    content TEXT NOT NULL DEFAULT '',
    thinking TEXT NOT NULL DEFAULT '',
    sources TEXT NOT NULL DEFAULT '[]',
    provider TEXT,
    model TEXT,
    options TEXT NOT NULL DEFAULT '{}',
    finish_reason TEXT,
    usage TEXT,
    timings TEXT,
    problem TEXT,
    created_at TEXT NOT NULL,
    finished_at TEXT,
    after_epoch TEXT NOT NULL,
    after_seq INTEGER NOT NULL,
    last_seq INTEGER,
    cancel_requested INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX messages_of_session ON messages (session, key);
CREATE INDEX messages_streaming ON messages (session, key) WHERE status = 'streaming';
CREATE INDEX messages_ended ON messages (finished_at) WHERE finished_at IS NOT NULL;

-- The right to append events about a message: gone when the message has ended.
CREATE TABLE claims (
    message_id TEXT PRIMARY KEY,
    token TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE idempotency (
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    digest TEXT NOT NULL,
    message_id TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_age ON idempotency (created_at);

-- Substrings of three characters and more, in any script, without regard to case.
CREATE VIRTUAL TABLE message_search USING fts5 (
    content, content = 'messages', content_rowid = 'key', tokenize = 'trigram'
);
CREATE TRIGGER message_search_insert AFTER INSERT ON messages WHEN new.content != '' BEGIN
    INSERT INTO message_search (rowid, content) VALUES (new.key, new.content);
END;
CREATE TRIGGER message_search_update AFTER UPDATE OF content ON messages WHEN old.content != new.content BEGIN
    INSERT INTO message_search (message_search, rowid, content)
    SELECT 'delete', old.key, old.content WHERE old.content != '';
    INSERT INTO message_search (rowid, content) SELECT new.key, new.content WHERE new.content != '';
END;
CREATE TRIGGER message_search_delete AFTER DELETE ON messages WHEN old.content != '' BEGIN
    INSERT INTO message_search (message_search, rowid, content) VALUES ('delete', old.key, old.content);
END;

-- Events of hundreds of answers come in turn. Kept in the order in which they come, those of one commit share pages,
-- and a commit writes a few of them; kept by session, each was a page of its own.
CREATE TABLE events_as_they_come (
    key INTEGER PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES sessions (key),
    seq INTEGER NOT NULL,
    run TEXT NOT NULL,
    type TEXT NOT NULL,
    message_id TEXT,
    body TEXT NOT NULL
);
INSERT INTO events_as_they_come (session, seq, run, type, message_id, body)
SELECT session, seq, run, type, message_id, body FROM events ORDER BY session, seq;
DROP TABLE events;
ALTER TABLE events_as_they_come RENAME TO events;
CREATE UNIQUE INDEX events_of_session ON events (session, seq);

-- The index had a page for every session that is written to, so a chunk made one more page to write: 4 kB for 150
-- bytes. It keeps a few events of each session, the landmarks; the others lie close behind one of these in the table.
ALTER TABLE events ADD COLUMN landmark INTEGER NOT NULL DEFAULT 1;
DROP INDEX events_of_session;
CREATE UNIQUE INDEX landmarks ON events (session, seq) WHERE landmark = 1;

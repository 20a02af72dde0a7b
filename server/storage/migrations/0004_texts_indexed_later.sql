-- To index a text took as long as to keep it: a third of the pages of a commit, for a question of three words. Texts
-- are listed now, and indexed a moment later, many in one transaction; until then they are searched as they are.
CREATE TABLE unindexed (message INTEGER PRIMARY KEY);
DROP TRIGGER message_search_insert;
DROP TRIGGER message_search_update;
DROP TRIGGER message_search_delete;
CREATE TRIGGER message_search_insert AFTER INSERT ON messages WHEN new.content != '' BEGIN
    INSERT INTO unindexed VALUES (new.key);
END;
CREATE TRIGGER message_search_update AFTER UPDATE OF content ON messages WHEN old.content = '' AND new.content != ''
BEGIN
    INSERT INTO unindexed VALUES (new.key);
END;
CREATE TRIGGER a_text_is_written_once BEFORE UPDATE OF content ON messages
WHEN old.content != '' AND new.content != old.content
BEGIN
    SELECT RAISE(ABORT, 'a text is written once');  -- the index would keep the old one
END;
CREATE TRIGGER message_search_delete AFTER DELETE ON messages WHEN old.content != '' BEGIN
    INSERT INTO message_search (message_search, rowid, content)
    SELECT 'delete', old.key, old.content WHERE old.key NOT IN unindexed;
    DELETE FROM unindexed WHERE message = old.key;
END;

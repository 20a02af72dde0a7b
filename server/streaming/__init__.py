"""The core: logs of events, cursors on them, and `follow`. Standard library only."""

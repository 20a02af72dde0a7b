"""Sessions, messages and their logs in SQLite, through `databases`."""

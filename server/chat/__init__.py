"""The application: sessions, messages and the answers being written. Standard library only."""

"""Xionimus streams AI answers to people, on any network."""

__version__ = "0.1.0"

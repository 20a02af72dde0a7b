"""The server behind real proxies: what arrives, when, and by which rung of the ladder."""

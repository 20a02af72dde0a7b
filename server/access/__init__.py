"""Who may come in, from where, and how much: what stands before every route."""

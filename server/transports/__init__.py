"""Ways to carry a log to a client. Each frames what a `Reader` yields, and does nothing else."""

"""Ways to carry a log to a client. Each is the client of a `Reader`: it frames and sends what that hands it."""

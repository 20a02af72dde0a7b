"""What stands between a client and a server, and what it does to the streams: `xionimus doctor URL`.

A program of its own that knows the server only by its address. The lines it advises are the files in `snippets/`.
"""

"""httpx without TLS: reading the machine's certificates for each client takes longer than most requests here."""

from __future__ import annotations

import ssl
from functools import partial

import httpx

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

AsyncClient = partial(httpx.AsyncClient, verify=NO_TLS)
Client = partial(httpx.Client, verify=NO_TLS)
get = partial(httpx.get, verify=NO_TLS)
options = partial(httpx.options, verify=NO_TLS)
patch = partial(httpx.patch, verify=NO_TLS)
post = partial(httpx.post, verify=NO_TLS)
request = partial(httpx.request, verify=NO_TLS)
stream = partial(httpx.stream, verify=NO_TLS)

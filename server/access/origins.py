"""Web origins whose pages may change something here.

As Go's net/http CrossOriginProtection decides it: Sec-Fetch-Site, which no script can set, goes before Origin; a
request with neither comes from no browser. Without cookies to steal there is still the user's network: any
page on the web can send requests to 127.0.0.1.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import Headers

CORS_METHODS = "GET, POST, PATCH, DELETE"
CORS_HEADERS = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
CORS_EXPOSED = "Location, Retry-After, X-Request-ID"


class Origins:
    """`allowed`: origins as browsers send them, besides the server's own."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = frozenset(allowed)

    def allow(self, headers: Headers) -> bool:
        """Whether a request that changes something may come from where it comes from."""
        origins = headers.getlist("origin")
        if len(origins) > 1:
            return False
        if origins and origins[0] in self._allowed:
            return True
        site = headers.get("sec-fetch-site")
        if site is not None:
            # A proxy may have rewritten Host, so the browser's word counts, not a comparison.
            return site in ("same-origin", "none")
        return not origins or origins[0].partition("://")[2].lower() == headers["host"].lower()

    def shared_with(self, headers: Headers) -> dict[str, str]:
        """The headers that let a page of an allowed origin read the answer. Never with cookies."""
        if not self._allowed:
            return {}
        origin = headers.get("origin", "")
        if origin not in self._allowed:
            return {"vary": "Origin"}
        return {
            "vary": "Origin",
            "access-control-allow-origin": origin,
            "access-control-expose-headers": CORS_EXPOSED,
        }

    def preflight(self, headers: Headers) -> dict[str, str] | None:
        """The headers of the answer to a browser that asks before it sends; None for anybody else."""
        if headers.get("origin") not in self._allowed or "access-control-request-method" not in headers:
            return None
        return {
            "access-control-allow-methods": CORS_METHODS,
            "access-control-allow-headers": CORS_HEADERS,
            "access-control-max-age": "600",
        }

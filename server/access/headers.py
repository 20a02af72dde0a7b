"""Headers of every answer: what a browser, and whatever stands in between, may do with it."""

from __future__ import annotations

from collections.abc import Mapping

# Answers that are no page need nothing; what is a page brings a policy of its own.
POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

# Swagger UI sets styles on elements and has images in its stylesheet; its scripts are files of ours.
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)

POLICIES = {"/docs": DOCS_POLICY}

SECURITY_HEADERS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # Varnish, as it comes, would answer for two minutes with what a session was.
    "cache-control": "no-store",
}


def default_headers(path: str) -> list[tuple[bytes, bytes]]:
    """Those an answer gets where it has none of that name itself."""
    found = {**SECURITY_HEADERS, "content-security-policy": POLICIES.get(path, POLICY)}
    return [(name.encode(), value.encode()) for name, value in found.items()]

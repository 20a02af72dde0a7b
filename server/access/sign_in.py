"""The page to sign in at, and the cookie it leaves: for browsers, whose EventSource and WebSocket send no header.

The cookie holds the token itself: it is as random as any session id would be, and there is then nothing to
keep, nothing to lose in a restart, and removing the token's line ends every session of it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from urllib.parse import parse_qs, quote

from pydantic import BaseModel, Field
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request, cookie_parser
from starlette.responses import HTMLResponse, RedirectResponse, Response

from server.access.tokens import Tokens
from server.api.operation import Operation, operation
from server.api.requests import read_bytes

PATH = "/sign-in"
COOKIE = "xionimus"
SECURE_COOKIE = "__Host-xionimus"  # this prefix lets no neighbouring host or plain http set it
KEPT = 30 * 86_400  # seconds
MAX_FORM = 4_096  # bytes
LOCAL_PATH = re.compile(r"/(?![/\\])[\x21-\x7e]*")  # `//host` and `/\host` lead elsewhere

# Of what the page kept for one person, the next one finds nothing. Browsers do so on https and on loopback only.
FORGET = {"Clear-Site-Data": '"cache", "storage"'}

STYLE = """
:root { color-scheme: light dark; background: light-dark(#fbfaf8, #17181a); color: light-dark(#1f2023, #e7e6e3); }
body { font: 1rem/1.5 system-ui, sans-serif; display: grid; place-content: center; min-height: 100vh; margin: 0; }
form { display: grid; gap: 0.75rem; width: min(22rem, 90vw); }
p { margin: 0; color: light-dark(#9a3412, #f5a37a); }
input, button { font: inherit; padding: 0.5rem 0.75rem; border: 1px solid light-dark(#8b877d, #7d838a);
  border-radius: 0.6rem; background: light-dark(#ffffff, #1f2124); color: inherit; }
button { border-color: transparent; background: light-dark(#0f6b63, #5cc4b8); color: light-dark(#ffffff, #0c2522);
  cursor: pointer; }
:focus-visible { outline: 2px solid light-dark(#0f6b63, #5cc4b8); outline-offset: 2px; }
"""

# Without an action the form goes to the page's own address, fragment and all, and the redirect keeps the fragment:
# it names the chat that was wanted.
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in · Xionimus</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>Xionimus</h1>
<form method="post">
<label for="token">Your token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus
  aria-describedby="whence">
<small id="whence">Whoever runs this server gives it to you.</small>
{complaint}
<button>Sign in</button>
</form>
</main>
</body>
</html>
"""

COMPLAINT = '<p role="alert">That token is not known here.</p>'


HTML = {"text/html; charset=utf-8": None}


class SignInQuery(BaseModel):
    next: str = Field(default="/", description="Where to go then: a path of this server's.")


class SignInForm(BaseModel):
    token: str


class SignIn:
    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    @operation(
        Operation(
            "GET",
            PATH,
            "The page to sign in at; where there are no tokens, on to the page itself",
            "Access",
            query=SignInQuery,
            answers={200: HTML, 303: None},
        )
    )
    async def show(self, request: Request) -> Response:
        if not self._tokens:
            return RedirectResponse("/", 303)
        return _page(200)

    @operation(
        Operation(
            "POST",
            PATH,
            "Sign in: keeps the token in a cookie that scripts cannot read, and leads to `next`",
            "Access",
            body=SignInForm,
            body_type="application/x-www-form-urlencoded",
            query=SignInQuery,
            answers={303: None, 401: HTML},
            problems=("too_large",),
        )
    )
    async def enter(self, request: Request) -> Response:
        form = parse_qs((await read_bytes(request, MAX_FORM)).decode("utf-8", "replace"))
        token = form.get("token", [""])[0].strip()
        name = self._tokens.name_of(token)
        if name is None:
            return _page(401)
        response = RedirectResponse(_next(request), 303, headers=FORGET if self._was_another(request, name) else None)
        secure = request.url.scheme == "https"
        # Not `strict`: who follows a link from elsewhere would be asked again. What changes something is no GET, and
        # comes from this origin or not at all.
        response.set_cookie(
            SECURE_COOKIE if secure else COOKIE,
            token,
            max_age=KEPT,
            secure=secure,
            httponly=True,
            samesite="lax",
        )
        return response

    def _was_another(self, request: Request, name: str) -> bool:
        before = self._tokens.name_of(token_in(request.headers) or "")
        return before is not None and before != name

    @operation(
        Operation(
            "POST",
            "/sign-out",
            "Sign out: forgets the cookie, and has the browser forget what the page kept",
            "Access",
            answers={303: None},
        )
    )
    async def leave(self, request: Request) -> Response:
        response = RedirectResponse(PATH, 303, headers=FORGET)
        for name in (COOKIE, SECURE_COOKIE):
            response.delete_cookie(name, secure=name == SECURE_COOKIE, httponly=True, samesite="lax")
        return response


def token_in(headers: Headers) -> str | None:
    """The token that a request shows: in its Authorization header, else in its cookie."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    cookies = cookie_parser(headers.get("cookie", ""))
    return cookies.get(SECURE_COOKIE) or cookies.get(COOKIE)


def redirect_to_page(path: str) -> Response:
    return RedirectResponse(f"{PATH}?next={quote(path, safe='/')}", 303, headers={"Cache-Control": "no-store"})


def _page(status: int) -> Response:
    text = PAGE.format(style=STYLE, complaint=COMPLAINT if status == 401 else "")
    return HTMLResponse(text, status, headers={"Content-Security-Policy": _policy(), "Cache-Control": "no-store"})


def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )


def _next(connection: HTTPConnection) -> str:
    wanted = connection.query_params.get("next", "/")
    return wanted if LOCAL_PATH.fullmatch(wanted) else "/"

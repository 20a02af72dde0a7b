"""From where something may be changed, and who else may read."""

from __future__ import annotations

import pytest

from tests import plain
from tests.access.people import PUBLIC
from tests.access.raw import handshake, upgrade
from tests.serving import ServerProcess

EVIL = "https://evil.example"


ALLOWED: list[dict[str, str]] = [
    {},  # no browser
    {"Origin": PUBLIC},
    {"Origin": PUBLIC, "Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://127.0.0.1:{port}"},
    {"Origin": "https://behind.a.proxy", "Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
]
REFUSED: list[dict[str, str]] = [
    {"Origin": EVIL},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": f"{PUBLIC}.evil.example"},
    {"Origin": "http://chat.example.com"},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "cross-site"},
]


def filled(headers: dict[str, str], server: ServerProcess) -> dict[str, str]:
    return {name: value.format(port=server.port) for name, value in headers.items()}


@pytest.mark.parametrize("headers", ALLOWED, ids=str)
def test_its_own_pages_and_programs_may_change_something(public: ServerProcess, headers: dict[str, str]) -> None:
    assert plain.post(f"{public.url}/api/sessions", headers=filled(headers, public)).status_code == 201


@pytest.mark.parametrize("headers", REFUSED, ids=str)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/sessions"),
        ("POST", "/api/sessions/s/messages"),
        ("PATCH", "/api/sessions/s"),
        ("DELETE", "/api/sessions/s"),
        ("POST", "/sign-in"),
        ("PUT", "/nowhere"),
    ],
)
def test_other_pages_may_not(public: ServerProcess, method: str, path: str, headers: dict[str, str]) -> None:
    answer = plain.request(method, public.url + path, headers=filled(headers, public))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden_origin")


@pytest.mark.parametrize(
    ("origin", "status"), [(None, 101), (PUBLIC, 101), ("http://127.0.0.1:{port}", 101), (EVIL, 403), ("null", 403)]
)
def test_the_origin_of_a_socket_is_checked_before_it_is_accepted(
    public: ServerProcess, origin: str | None, status: int
) -> None:
    headers = [f"Host: 127.0.0.1:{public.port}"]
    if origin is not None:
        headers.append(f"Origin: {origin.format(port=public.port)}")
    assert handshake(public, upgrade("/ws/chat/s", *headers)) == status


def test_two_origins_are_none(public: ServerProcess) -> None:
    answer = plain.post(f"{public.url}/api/sessions", headers=[("Origin", PUBLIC), ("Origin", EVIL)])
    assert answer.status_code == 403


def test_reading_is_no_matter_of_origin_but_its_answer_is_not_shared(public: ServerProcess) -> None:
    answer = plain.get(f"{public.url}/api/sessions", headers={"Origin": EVIL})
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["vary"] == "Origin"


def test_an_allowed_origin_may_read_without_cookies(public: ServerProcess) -> None:
    answer = plain.get(f"{public.url}/api/sessions", headers={"Origin": PUBLIC})
    assert answer.headers["access-control-allow-origin"] == PUBLIC
    assert "access-control-allow-credentials" not in answer.headers


def test_a_preflight_is_answered_for_allowed_origins_only(public: ServerProcess) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    answer = plain.options(f"{public.url}/api/sessions", headers={"Origin": PUBLIC, **asked})
    assert answer.status_code == 204
    assert "POST" in answer.headers["access-control-allow-methods"]
    refused = plain.options(f"{public.url}/api/sessions", headers={"Origin": EVIL, **asked})
    assert refused.status_code == 405
    assert "access-control-allow-origin" not in refused.headers


def test_without_configuration_there_is_no_cors(server: ServerProcess) -> None:
    answer = plain.get(f"{server.url}/api/sessions", headers={"Origin": PUBLIC})
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"])
def test_what_a_form_can_send_is_no_request(server: ServerProcess, kind: str) -> None:
    answer = plain.post(f"{server.url}/api/sessions", content=b'{"title": "x"}', headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")

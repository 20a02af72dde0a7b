"""/openapi.json, made from the routes and what stands beside them; and /docs, which shows it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from server.api import schemas
from server.api.errors import MEDIA_TYPE
from server.api.operation import Answer, Operation, operations
from server.chat.problems import KINDS

TEMPLATE = "#/components/schemas/{model}"
JsonObject = dict[str, Any]

HEADER_DESCRIPTIONS = {
    "Last-Event-ID": "A cursor: the id of the last event the client has. Where something is asked, only with a known "
    "Idempotency-Key: the answer goes on from there.",
    "Idempotency-Key": "1 to 128 of A-Z a-z 0-9 : _ -; the same key and body get the same answer for 24 hours.",
}

# What stands before every route may answer this.
EVERYWHERE = (
    "bad_request",
    "unauthorized",
    "forbidden_host",
    "forbidden_origin",
    "rate_limited",
    "too_many_streams",
)

DOCS = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Xionimus API</title>
<link rel="icon" href="/static/vendor/swagger-ui/favicon-32x32.png">
<link rel="stylesheet" href="/static/vendor/swagger-ui/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/static/vendor/swagger-ui/swagger-ui-bundle.js"></script>
<script src="/static/docs.js"></script>
</body>
</html>
"""


def describe(routes: Sequence[Any], version: str) -> JsonObject:
    """OpenAPI 3.1 for the described ones among `routes`."""
    described = operations(routes)
    paths: dict[str, JsonObject] = {}
    for each in described:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Xionimus",
            "version": version,
            "summary": "Streams AI answers to people, on any network, and never loses one",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(described),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "xionimus", "description": "See /sign-in."},
            },
        },
        "security": [{}, {"token": []}, {"cookie": []}],  # without tokens in its settings, a server asks for none
    }


def routes(document: JsonObject) -> list[Route]:
    async def openapi(request: Request) -> Response:
        return JSONResponse(document)

    async def docs(request: Request) -> Response:
        return Response(DOCS, media_type="text/html")

    return [Route("/openapi.json", openapi), Route("/docs", docs)]


def _operation(described: Operation) -> JsonObject:
    found: JsonObject = {
        "summary": described.summary,
        "tags": [described.tag],
        "operationId": _operation_id(described),
        "parameters": [*_path_parameters(described), *_query_parameters(described), *_headers(described)],
        "responses": _responses(described),
    }
    if described.body is not None:
        found["requestBody"] = {
            "required": described.body_required,
            "content": {described.body_type: {"schema": _reference(described.body)}},
        }
    if described.frames is not None:
        # OpenAPI has no word for what is said after an upgrade.
        found["x-frames"] = {
            "client": [_reference(each) for each in described.frames.client],
            "server": [_reference(each) for each in described.frames.server],
        }
    return found


def _operation_id(described: Operation) -> str:
    words = re.findall(r"[a-z]+", described.path.replace("/api/", "/").replace("_id}", "}"))
    return "_".join([described.method.lower(), *words])


def _path_parameters(described: Operation) -> list[JsonObject]:
    patterns = {"session_id": schemas.SESSION_ID, "message_id": r"^[A-Za-z0-9_-]{1,64}$"}
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": patterns[name]},
        }
        for name in re.findall(r"{(\w+)}", described.path)
    ]


def _query_parameters(described: Operation) -> list[JsonObject]:
    if described.query is None:
        return []
    shape = described.query.model_json_schema(ref_template=TEMPLATE)
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": schema.pop("description", ""),
            "schema": _without_null(schema),
        }
        for name, schema in shape["properties"].items()
    ]


def _without_null(schema: JsonObject) -> JsonObject:
    """A query has no null: what may be null may be left out."""
    options = [each for each in schema.get("anyOf", []) if each != {"type": "null"}]
    if len(options) == 1:
        return options[0]  # type: ignore[no-any-return]
    return {name: value for name, value in schema.items() if name != "title"}


def _headers(described: Operation) -> list[JsonObject]:
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": HEADER_DESCRIPTIONS[name],
            "schema": {"type": "string"},
        }
        for name in described.headers
    ]


def _responses(described: Operation) -> JsonObject:
    found: JsonObject = {}
    for status, answer in described.answers.items():
        found[str(status)] = {"description": HTTPStatus(status).phrase, **_content(answer)}
    problems = dict.fromkeys((*described.problems, *EVERYWHERE))
    for status in sorted({KINDS[code].status for code in problems}):
        codes = ", ".join(code for code in problems if KINDS[code].status == status)
        forms = found.get(str(status), {}).get("content", {})
        found[str(status)] = {
            "description": codes,
            "content": {**forms, MEDIA_TYPE: {"schema": _reference(schemas.Problem)}},
        }
    return found


def _content(answer: Answer) -> JsonObject:
    if answer is None:
        return {}
    by_type = answer if isinstance(answer, Mapping) else {"application/json": answer}
    return {
        "content": {
            media_type: {"schema": {"type": "string"} if shape is None else _reference(shape)}
            for media_type, shape in by_type.items()
        }
    }


def _schemas(described: Sequence[Operation]) -> JsonObject:
    requests = {each.body for each in described if each.body is not None}
    answers: set[type[BaseModel]] = {schemas.Problem}
    for each in described:
        for answer in each.answers.values():
            shapes = answer.values() if isinstance(answer, Mapping) else [answer]
            answers |= {shape for shape in shapes if shape is not None}
        if each.frames is not None:
            requests |= set(each.frames.client)
            answers |= set(each.frames.server)
    _, definitions = models_json_schema(
        [(shape, "validation") for shape in _sorted(requests)]
        + [(shape, "serialization") for shape in _sorted(answers)],
        ref_template=TEMPLATE,
    )
    found: JsonObject = definitions["$defs"]
    return found


def _sorted(shapes: set[type[BaseModel]]) -> list[type[BaseModel]]:
    return sorted(shapes, key=lambda shape: shape.__name__)


def _reference(shape: type[BaseModel]) -> JsonObject:
    return {"$ref": TEMPLATE.format(model=shape.__name__)}

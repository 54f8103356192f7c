"""The API's description, made from what the doors say of themselves: routes, docstrings, and the schemas that validate.

A route that gets a docstring and an answer schema is described; nothing is written twice.
Source: OpenAPI Specification 3.1.
"""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.common import resolve_schema_cls
from flask import Flask
from marshmallow import Schema, fields
from werkzeug.routing import Rule

from server.kit.http import Description, described

__all__ = ["Operation", "operations", "spec"]

API_VERSION = "1"
ABOUT = """People talk to agents in workspaces; programs call the same agents.

Sign in for an access token, or make an API key. A refusal is `{"msg": …}`, with `errors` by field where fields are wrong;
its header `X-Error-Code` names it, `Retry-After` says when to come again, and `X-Request-Id` finds it in the log."""

# What people open in a browser; not the API.
PAGES = {"web.page", "web.static_file", "web.swagger", "web.redoc", "web.description"}
# Routes whose one credential is a token, in the header.
TOKEN_ONLY = {"accounts.refresh", "accounts.logout"}
SILENT_METHODS = {"HEAD", "OPTIONS"}

SCHEMES: dict[str, dict[str, str]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An access token, or an API key."},
    "api_key": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "An API key."},
}
FILE_BODY: dict[str, Any] = {
    "type": "object",
    "properties": {"file": {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}},
    "required": ["file"],
}
STATUS_TEXTS = {
    400: "The request cannot be carried out.",
    401: "Authentication is required.",
    403: "You may not do this.",
    404: "Not found.",
    409: "The state of the thing does not allow this.",
    413: "The request is too large.",
    422: "The request has fields that are not valid.",
    429: "Too many requests; try again later.",
}


class RefusalShape(Schema):
    """Why a request was not carried out."""

    msg = fields.String(required=True)


class InvalidShape(RefusalShape):
    """Which fields are wrong, and how."""

    errors = fields.Dict(keys=fields.String(), values=fields.Raw(), required=True)


@dataclass(frozen=True)
class Operation:
    """One method of one route."""

    rule: Rule
    method: str
    view: Callable[..., Any]
    said: Description

    @property
    def docstring(self) -> str:
        """What the view says of itself."""
        return inspect.cleandoc(self.view.__doc__ or "")

    @property
    def prose(self) -> tuple[str, str]:
        """The summary and the rest, without the refusals."""
        text = self.docstring.partition("Refused:")[0].strip()
        first, _, rest = text.partition("\n\n")
        summary, _, more = first.partition(". ")
        return " ".join(summary.split()).rstrip("."), "\n\n".join(part for part in (more.strip(), rest.strip()) if part)

    def refusals(self) -> dict[int, list[str]]:
        """The refusals that the docstring and the decorators name, by status; the texts of some are not fixed."""
        found: defaultdict[int, list[str]] = defaultdict(list)
        for status, text in self._implied():
            found[status].extend([text] if text else [])
        for status, texts in self.said.refusals.items():
            found[status].extend(texts)
        told = self.docstring.partition("Refused:")[2]
        for status_text, quoted, plain in re.findall(r"\b(4\d\d|5\d\d)\b(?: `([^`]+)`| ([^,`]*[^,`.\s]))?", told):
            found[int(status_text)].extend([quoted] if quoted else [f"{plain[0].upper()}{plain[1:]}."] if plain else [])
        return {status: list(dict.fromkeys(found[status])) for status in sorted(found)}

    def _implied(self) -> Iterator[tuple[int, str]]:
        if self.said.body:
            yield 400, "Missing JSON in request"
        if self.said.body or self.said.query or self.said.files:
            yield 422, ""
        if self.said.body or self.said.files:
            yield 413, ""
        if self.said.needs_sign_in:
            yield 401, STATUS_TEXTS[401]


def operations(app: Flask) -> list[Operation]:
    """Every method of every route of the API, by path; without WebSockets, which OpenAPI has no words for."""
    found = []
    for rule in app.url_map.iter_rules():
        if rule.endpoint in PAGES or rule.websocket:
            continue
        view = app.view_functions[rule.endpoint]
        for method in sorted((rule.methods or set()) - SILENT_METHODS):
            found.append(Operation(rule, method, view, described(view)))
    return sorted(found, key=lambda each: (each.rule.rule, each.method))


def spec(app: Flask) -> dict[str, Any]:
    """The description of the app's API; made once."""
    if "openapi" not in app.extensions:
        app.extensions["openapi"] = _made(app)
    made: dict[str, Any] = app.extensions["openapi"]
    return made


def _made(app: Flask) -> dict[str, Any]:
    api = APISpec(
        title="Parley",
        version=API_VERSION,
        openapi_version="3.1.0",
        info={"description": ABOUT},
        servers=[{"url": "/"}],
        plugins=[MarshmallowPlugin(schema_name_resolver=_names())],
    )
    for name, scheme in SCHEMES.items():
        api.components.security_scheme(name, scheme)
    paths: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for operation in operations(app):
        paths[_path(operation.rule)][operation.method.lower()] = _described(operation)
    for path, methods in paths.items():
        api.path(path=path, operations=methods)
    return dict(api.to_dict())


def _names() -> Callable[[Any], str]:
    """Names schemas by their class; of two classes of one name the second gets its room's before it."""
    taken: dict[str, Any] = {}

    def name(schema: Any) -> str:
        kind: Any = resolve_schema_cls(schema)
        plain: str = kind.__name__.removesuffix("Shape") or kind.__name__
        if taken.setdefault(plain, kind) is kind:
            return plain
        room = kind.__module__.split(".")[-2].capitalize()
        return f"{room}{plain}"

    return name


def _path(rule: Rule) -> str:
    return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)


def _described(operation: Operation) -> dict[str, Any]:
    summary, description = operation.prose
    several = len((operation.rule.methods or set()) - SILENT_METHODS) > 1
    made: dict[str, Any] = {
        "operationId": operation.view.__name__ + (f"_{operation.method.lower()}" if several else ""),
        "tags": [operation.rule.endpoint.partition(".")[0]],
        "summary": summary,
        "parameters": _parameters(operation),
        "responses": _responses(operation),
    }
    if description:
        made["description"] = description
    if operation.rule.endpoint in TOKEN_ONLY:
        made["security"] = [{"bearer": []}]
    elif operation.said.needs_sign_in:
        made["security"] = [{"bearer": []}, {"api_key": []}]
    if operation.said.body:
        made["requestBody"] = {"required": not operation.said.body_optional, "content": _json(operation.said.body)}
    elif operation.said.files:
        made["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": FILE_BODY}}}
    return made


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"in": "path", "name": name, "required": True, "schema": {"type": "string"}} for name in sorted(operation.rule.arguments)
    ]
    if operation.said.query:
        parameters.append({"in": "query", "schema": operation.said.query})
    return parameters


def _responses(operation: Operation) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": {"description": "Done."}}
    if operation.said.answer:
        responses = _answered(operation.said.answer)
    for status, texts in operation.refusals().items():
        shape = InvalidShape if status == 422 else RefusalShape
        text = " · ".join(texts) or STATUS_TEXTS.get(status, "Refused.")
        responses[str(status)] = {"description": text, "content": _json(shape)}
    responses["default"] = {"description": "Another refusal, such as 429 or 503.", "content": _json(RefusalShape)}
    return responses


def _answered(shape: Any) -> dict[str, Any]:
    """The answer in words and in its shape. A schema with a `status` has no body; one with a `media_type` is no JSON."""
    described_as = inspect.cleandoc(shape.__doc__ or "Done.").partition("\n\n")[0]
    if hasattr(shape, "status"):
        return {str(shape.status): {"description": described_as}}
    return {"200": {"description": described_as, "content": {getattr(shape, "media_type", "application/json"): {"schema": shape}}}}


def _json(schema: type[Schema]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}

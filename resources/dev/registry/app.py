"""The registry's HTTP side (Confluent Schema Registry API reference; subset for Avro)."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from resources.dev.registry import refusals
from resources.dev.registry.store import SchemaStore, Version
from resources.dev.registry.validity import parsed
from resources.registry.compatibility import LEVELS, problems

DEFAULT_LEVEL = "BACKWARD"
_LARGEST_VERSION = _LARGEST_ID = 2**31 - 1
Body = dict[str, Any]


def registry_app(store: SchemaStore) -> Starlette:
    """The application. The caller closes `store`."""
    registry = _Registry(store)
    routes: list[tuple[str, str, Callable[[Request, Body], Any]]] = [
        ("GET", "/", lambda _request, _body: {}),
        ("GET", "/subjects", registry.subjects),
        ("POST", "/subjects/{subject}", registry.look_up),
        ("DELETE", "/subjects/{subject}", registry.delete_subject),
        ("GET", "/subjects/{subject}/versions", registry.list_versions),
        ("POST", "/subjects/{subject}/versions", registry.register),
        ("GET", "/subjects/{subject}/versions/{version}", registry.get_version),
        ("GET", "/schemas/types", lambda _request, _body: ["AVRO"]),
        ("GET", "/schemas/ids/{id:int}", registry.schema_by_id),
        ("GET", "/schemas/ids/{id:int}/versions", registry.versions_by_id),
        ("GET", "/config", registry.get_config),
        ("PUT", "/config", registry.set_config),
        ("GET", "/config/{subject}", registry.get_config),
        ("PUT", "/config/{subject}", registry.set_config),
        ("POST", "/compatibility/subjects/{subject}/versions", registry.test_compatibility),
        ("POST", "/compatibility/subjects/{subject}/versions/{version}", registry.test_compatibility),
        ("GET", "/mode", lambda _request, _body: {"mode": "READWRITE"}),
    ]
    return Starlette(
        routes=[
            Route(path, partial(_answer, handler), methods=[method], name=f"{method} {path}")
            for method, path, handler in routes
        ]
    )


class _Registry:
    def __init__(self, store: SchemaStore) -> None:
        self._store = store

    def subjects(self, request: Request, _body: Body) -> list[str]:
        prefix = request.query_params.get("subjectPrefix", "")
        names = self._store.subjects(deleted=_flag(request, "deleted"))
        return [name for name in names if name.startswith(prefix)]

    def list_versions(self, request: Request, _body: Body) -> list[int]:
        return [one.version for one in self._versions(request)]

    def get_version(self, request: Request, _body: Body) -> Body:
        return _described(self._version(request))

    def look_up(self, request: Request, body: Body) -> Body:
        subject = request.path_params["subject"]
        text = _schema_text(body)
        self._versions(request)
        found = self._store.find(subject, text)
        if found is None:
            raise refusals.no_schema("")
        return _described(found)

    def register(self, request: Request, body: Body) -> Body:
        subject = request.path_params["subject"]
        text = _schema_text(body)
        with self._store.exclusive():
            found = self._store.find(subject, text)
            if found is None:
                against = _compared(self._level(subject), self._store.versions(subject))
                if messages := self._problems(subject, text, against):
                    raise refusals.incompatible(subject, messages)
                found = self._store.add(subject, text)
        return {"id": found.schema_id, "version": found.version}

    def delete_subject(self, request: Request, _body: Body) -> list[int]:
        subject = request.path_params["subject"]
        permanent = _flag(request, "permanent")
        with self._store.exclusive():
            versions = self._store.versions(subject, deleted=permanent)
            if not versions:
                raise refusals.no_subject(subject)
            if permanent and any(not one.deleted for one in versions):
                raise refusals.not_soft_deleted(subject)
            self._store.delete(subject, permanent=permanent)
        return [one.version for one in versions]

    def schema_by_id(self, request: Request, _body: Body) -> Body:
        return {"schema": self._known_schema(request)}

    def versions_by_id(self, request: Request, _body: Body) -> list[Body]:
        self._known_schema(request)
        uses = self._store.uses(request.path_params["id"])
        return [{"subject": one.subject, "version": one.version} for one in uses]

    def _known_schema(self, request: Request) -> str:
        schema_id = request.path_params["id"]
        text = self._store.schema(schema_id) if schema_id <= _LARGEST_ID else None
        if text is None:
            raise refusals.no_schema(schema_id)
        return text

    def get_config(self, request: Request, _body: Body) -> Body:
        subject = request.path_params.get("subject")
        level = self._store.level(subject)
        if level is None and subject is not None and not _flag(request, "defaultToGlobal"):
            raise refusals.no_subject_config(subject)
        return {"compatibilityLevel": level or self._level(subject)}

    def set_config(self, request: Request, body: Body) -> Body:
        level = body.get("compatibility")
        if level not in LEVELS:
            raise refusals.invalid_level(level, LEVELS)
        self._store.set_level(level, request.path_params.get("subject"))
        return {"compatibility": level}

    def test_compatibility(self, request: Request, body: Body) -> Body:
        """Compare with one version, or, without a version, with those that the subject's level requires."""
        subject = request.path_params["subject"]
        text = _schema_text(body)
        if "version" in request.path_params:
            against = [self._version(request)]
        else:
            against = _compared(self._level(subject), self._store.versions(subject))
        messages = self._problems(subject, text, against)
        verbose = {"messages": messages} if _flag(request, "verbose") else {}
        return {"is_compatible": not messages, **verbose}

    def _problems(self, subject: str, text: str, against: list[Version]) -> list[str]:
        level = self._level(subject)
        new = parsed(text)
        return [
            why for old in against for why in problems(level, new, parsed(old.text), f"version {old.version}")
        ]

    def _level(self, subject: str | None) -> str:
        own = self._store.level(subject) if subject is not None else None
        return own or self._store.level() or DEFAULT_LEVEL

    def _versions(self, request: Request) -> list[Version]:
        subject = request.path_params["subject"]
        versions = self._store.versions(subject, deleted=_flag(request, "deleted"))
        if not versions:
            raise refusals.no_subject(subject)
        return versions

    def _version(self, request: Request) -> Version:
        asked = request.path_params["version"]
        if asked in ("latest", "-1"):
            return self._versions(request)[-1]
        if not asked.isascii() or not asked.isdigit() or not 1 <= int(asked) <= _LARGEST_VERSION:
            raise refusals.invalid_version(asked)
        versions = self._versions(request)
        found = next((one for one in versions if one.version == int(asked)), None)
        if found is None:
            raise refusals.no_version(asked)
        return found


def _compared(level: str, versions: list[Version]) -> list[Version]:
    if level == "NONE":
        return []
    return versions if level.endswith("_TRANSITIVE") else versions[-1:]


def _schema_text(body: Body) -> str:
    """The schema in the request; raises RefusedError if it is not a valid schema."""
    if body.get("schemaType", "AVRO") != "AVRO" or body.get("references"):
        raise refusals.invalid_schema("this registry keeps Avro schemas without references only")
    text = body.get("schema")
    if not isinstance(text, str):
        raise refusals.invalid_schema('the body must be {"schema": "<the schema as a JSON string>"}')
    parsed(text)
    return text


def _described(version: Version) -> Body:
    return {
        "subject": version.subject,
        "version": version.version,
        "id": version.schema_id,
        "schema": version.text,
    }


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() == "true"


async def _answer(handler: Callable[[Request, Body], Any], request: Request) -> Response:
    try:
        raw = await request.body()
        body = json.loads(raw) if raw else {}
        if not isinstance(body, dict):
            raise refusals.invalid_schema("the body must be a JSON object")
        return JSONResponse(await run_in_threadpool(handler, request, body))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as failure:
        refusal = refusals.invalid_schema(f"the body is not JSON: {failure}")
    except refusals.RefusedError as raised:
        refusal = raised
    return JSONResponse(
        {"error_code": refusal.error_code, "message": refusal.message}, status_code=refusal.http_status
    )

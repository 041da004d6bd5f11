"""Turns an HTTP answer into a value, or into an error that says what the answer was.
No other code reads an answer.

Anything may answer at the address: a proxy, a log-in page, another API. So a success must be the registry's
JSON in the expected shape. And "there is none" must have the registry's own error code (Confluent Schema
Registry API reference, "Errors"), which no other server sends with a 404.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resources.errors import SluiceError
from resources.registry.errors import (
    ContractIncompatible,
    NotARegistry,
    RegistryRefused,
    RegistryUnavailable,
    RightMissing,
)

NO_SUBJECT, NO_VERSION, NO_SCHEMA, NO_LEVEL = 40401, 40402, 40403, 40408
_LARGEST_ID = 2**31 - 1  # four bytes in a record's frame; Java reads them as signed
_MOST_TOLD = 2000
# A working server sends these while it is busy or starts. 501 and 505 are final.
MAY_PASS = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524})

IS_IT_THE_API = "is the url that of a Confluent-compatible API, with its path?"
_CHECK_LOGIN = "check basic.auth.user.info or bearer.auth.* in the settings (secrets are never printed)"


@dataclass(frozen=True)
class Answer:
    """One answer. `value` is its JSON (None if it has none); `code` and `said` are the registry's
    own error code and message."""

    where: str
    status: int
    body: str
    """What the body is, in words: `HTML`, `an empty body`, `JSON`."""
    value: Any = None
    code: int | None = None
    said: str = ""

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status < 300

    def says(self, *codes: int) -> bool:
        """Whether the registry itself said that there is none, with one of these error codes."""
        return self.status == 404 and self.code in codes


def read_answer(where: str, status: int, headers: Mapping[str, str], content: bytes) -> Answer:
    """The answer as it came. Raises nothing; other functions check what it means."""
    body, value = _body(headers.get("content-type", ""), content)
    code, said = None, ""
    if not 200 <= status < 300:
        if 300 <= status < 400:
            said = f"redirects{_elsewhere(headers.get('location', ''))}"
        elif isinstance(value, dict):
            code = _whole(value.get("error_code"))
            text = value.get("message")
            said = _readable(text) if isinstance(text, str) else ""
    return Answer(where, status, body, value, code, said)


def succeeded(answer: Answer, subject: str | None = None) -> Answer:
    """The answer, if it is a success with JSON; otherwise raises its error
    (NotARegistry, RegistryRefused, …)."""
    if not answer.succeeded:
        raise _refusal(answer, subject)
    if answer.body != "JSON":
        raise NotARegistry(
            answer.where,
            f"answered {answer.body}, not the registry's JSON (HTTP {answer.status})",
            next_step=IS_IT_THE_API,
        )
    return answer


def member(answer: Answer, name: str, kind: type, value: Any = None) -> Any:
    """`answer[name]`, which must have this JSON type; raises NotARegistry if the answer has another shape.

    `value` is the object that contains the member, if it is not the whole answer.
    """
    inside = answer.value if value is None else value
    found = inside.get(name) if isinstance(inside, dict) else None
    if type(found) is not kind:  # `isinstance` would accept true as the number 1
        raise _other_shape(answer, f"{name!r} is missing or no {_NAMES[kind]}")
    return found


def schema_id(answer: Answer) -> int:
    """The member `id`: a whole number that fits into the frame of a record."""
    found: int = member(answer, "id", int)
    if not 0 < found <= _LARGEST_ID:
        raise _other_shape(answer, f"'id' is not between 1 and {_LARGEST_ID:,}")
    return found


def version_number(answer: Answer) -> int:
    """The member `version`."""
    found: int = member(answer, "version", int)
    if not 0 < found <= _LARGEST_ID:
        raise _other_shape(answer, f"'version' is not between 1 and {_LARGEST_ID:,}")
    return found


def version_numbers(answer: Answer) -> list[int]:
    """The version numbers in the answer, in ascending order."""
    if not isinstance(answer.value, list):
        raise _other_shape(answer, "it is no list of versions")
    numbers = {_whole(one) for one in answer.value}
    if any(number is None or not 0 < number <= _LARGEST_ID for number in numbers):
        raise _other_shape(answer, "it is no list of versions")
    return sorted(number for number in numbers if number is not None)


def schema_type(answer: Answer) -> str:
    """`AVRO` (also if the registry omits the type), `PROTOBUF` or `JSON`."""
    if isinstance(answer.value, dict) and answer.value.get("schemaType") in (None, ""):
        return "AVRO"
    return _readable(str(member(answer, "schemaType", str)))[:40].upper()


_NAMES = {int: "whole number", str: "text", bool: "true or false", list: "list"}


def _refusal(answer: Answer, subject: str | None) -> SluiceError:
    where, status = answer.where, answer.status
    code = f", code {answer.code}" if answer.code is not None and answer.code != status else ""
    said = f"{answer.said or f'answered {answer.body}'} (HTTP {status}{code})"
    if status == 409 and subject is not None and answer.code is not None:
        return ContractIncompatible(subject, [answer.said or said])
    if status in (401, 403):
        kind = RightMissing if status == 403 and answer.code not in (None, 403) else RegistryRefused
        return kind(where, f"the registry refused the login or the right: {said}", next_step=_CHECK_LOGIN)
    if status == 407:
        return RegistryRefused(
            where, f"a proxy asks for a login: {said}", next_step="check the setting `proxy`, or HTTP_PROXY"
        )
    if status in MAY_PASS:
        return RegistryUnavailable(where, said)
    if status == 422 and answer.code is not None:
        return RegistryRefused(where, said)
    if answer.code is None or answer.code == status:
        return NotARegistry(where, f"{said}, without the registry's own error code", next_step=IS_IT_THE_API)
    return RegistryRefused(where, said, next_step=IS_IT_THE_API)


def _other_shape(answer: Answer, problem: str) -> NotARegistry:
    return NotARegistry(
        answer.where,
        f"answered JSON of another shape than the registry's: {problem} (HTTP {answer.status})",
        next_step=IS_IT_THE_API,
    )


def _body(content_type: str, content: bytes) -> tuple[str, Any]:
    if not content.strip():
        return "an empty body", None
    try:
        return "JSON", json.loads(content)
    except (ValueError, RecursionError):  # ValueError: no JSON, no text, a number of 4,300 digits
        pass
    start = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    if start.startswith((b"<!doctype html", b"<html")) or (
        start[:1] == b"<" and "html" in content_type.lower()
    ):
        return "HTML", None
    if start[:1] == b"<":
        return "XML", None
    if start[:1] in (b"{", b"["):
        return "JSON that is cut off or broken", None
    try:
        content.decode()
    except UnicodeDecodeError:
        return "bytes that are no text", None
    return "text", None


def _whole(value: object) -> int | None:
    return value if type(value) is int else None


def _elsewhere(location: str) -> str:
    """` to host`. Path and query are left out because they may contain a session or a token."""
    host = location.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2]
    return f" to {_readable(host)[:100]}" if host else ""


def _readable(text: str) -> str:
    """`text` on one line, without characters that control a terminal."""
    shown = " ".join("".join(one if one.isprintable() else " " for one in text[: 2 * _MOST_TOLD]).split())
    return shown if len(shown) <= _MOST_TOLD else f"{shown[:_MOST_TOLD]}…"

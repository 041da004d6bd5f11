"""Errors of PostgreSQL, libpq and the driver in words that a reader understands: what may pass, what
must be fixed, and no secret."""

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from resources.errors import SluiceError, TransientError
from resources.security.secrets import hide
from resources.security.tls import next_for
from resources.warehouse.errors import WarehouseError
from resources.warehouse.own_words import is_part, without_values

# PostgreSQL, appendix A: connection exceptions, a transaction to retry, no space or memory, a server that
# shuts down or starts, a lock that was not granted in time, a failing disk.
# coming up, a lock not had in time, a failing disk.
_PASSING = ("08", "40", "53", "57P", "55P03", "58")
CANCELLED = "57014"
_FORBIDDEN = "42501"
# Messages with these codes contain no value of a row.
_NO_ROW = (*_PASSING, CANCELLED, _FORBIDDEN)
_TEMP_FILE_LIMIT = "53400"
_NO_UTF8 = "22021"

_WITH_POSITION = re.compile(r"\nLINE (\d+): (.*)\n( *)\^")
_WORD = re.compile(r'"[^"]*"|\w+|\S')
_HINT = re.compile(r"\n(?:DETAIL|HINT):\s+(.*)")

# libpq has no codes for a failed login, only text. A text that is not listed here is
# taken as an error that may pass.
_LASTING = (
    ("authentication failed", "mend user or password in the URL, or in libpq's own PGPASSWORD or ~/.pgpass"),
    ("no password supplied", "put the password into the URL, or into libpq's own PGPASSWORD or ~/.pgpass"),
    ("role ", "mend the user in the URL, or create the role"),
    (
        "no encryption",
        "the server admits TLS alone, and this is plaintext: set sslmode=verify-full in the URL; or have its "
        "administrator admit this user and machine without TLS",
    ),
    ("pg_hba.conf", "have the server's administrator admit this user and machine, with or without TLS"),
    ("database ", "mend the database in the URL"),
    ("permission denied", "have CONNECT granted on the database"),
    ("could not translate host name", "mend the host in the URL"),
    (
        "server does not support SSL",
        "the server speaks plaintext alone: give it TLS, or set sslmode in the URL as its operator says",
    ),
    ("certificate", "mend sslmode, sslrootcert, sslcert or sslkey in the URL"),
    ("sslmode", "mend sslmode in the URL"),
    ("service file", "mend `service` in the URL, or PGSERVICE"),
)
_MAY_PASS = ("starting up", "shutting down", "Temporary failure", "too many", "remaining connection slots")
# libpq could not read the URL; its message may quote any part of it.
_UNREADABLE = re.compile(
    r"invalid (URI|percent|integer|port|connection option)|forbidden value|end of string reached"
    r"|unexpected (character|spaces)|(missing|extra) (\"=\"|key/value)|unterminated|could not match"
)


@dataclass(frozen=True)
class Explainer:
    """Makes the errors of one warehouse. `where` is the warehouse's name for users. `malformed`: the user or
    password in its URL is not percent-encoded, so libpq takes parts of it for the host, port or database."""

    where: str
    malformed: bool = False
    certificate: Callable[[], ssl.SSLCertVerificationError | None] = lambda: None
    """Returns the reason why the server's certificate is not valid, if it can be found out."""

    def refused_login(self, error: Exception) -> SluiceError:
        """The reason why there is no connection."""
        said = " ".join(
            _plain(str(error)).removeprefix("Failed to connect: ").replace("FATAL:  ", "").split()
        )
        if self.malformed or _UNREADABLE.match(said):
            parameter = re.search(r'invalid URI query parameter: "(\w+)"', said)
            told = f": it knows no parameter {parameter[1]!r}" if parameter and not self.malformed else ""
            return WarehouseError(
                self.where,
                f"libpq cannot read the URL{told}",
                # No password in the example, because it would be shown as stars like every other password.
                allowed="postgresql://user@host:5432/database?sslmode=verify-full; a password stands behind its user, as in "
                "user:password",
                next_step="percent-encode what is special in user and password (@ as %40, / as %2F, % as %25); the "
                "parameters are libpq's",
            )
        if "certificate verify failed" in said and (reason := self.certificate()):
            return WarehouseError(
                self.where,
                f"no connection: the server's certificate is not valid here: {reason.verify_message}",
                next_step=next_for(reason, "sslrootcert in the URL"),
            )
        lasting = [step for word, step in _LASTING if word in said]
        problem = f"no connection: {said}"
        if lasting and not any(word in said for word in _MAY_PASS):
            return WarehouseError(self.where, problem, next_step=lasting[0])
        return TransientError(
            self.where, problem, next_step="is the server up, and does the URL have its host and port?"
        )

    def refused(self, error: Exception, sql: str) -> SluiceError:
        """The reason why the statement `sql` failed, at once or in the middle of its rows."""
        state = getattr(error, "sqlstate", None)
        said = _told(hide(_plain(str(error))), state, sql, lost=_is_io(error))
        if state is None and _is_io(error):
            return TransientError(
                self.where,
                f"the connection was lost: {said}",
                next_step="a run tries again by itself; is the server up, and who ends its sessions?",
            )
        if state == CANCELLED:
            return WarehouseError(
                self.where,
                f"the query was cancelled at the server: {said}",
                next_step="ask who or what cancels it (Sluice lifts statement_timeout for it), then run the window again",
            )
        if state == _TEMP_FILE_LIMIT:
            return WarehouseError(
                self.where,
                f"sorting the rows took too much: {said}",
                next_step="raise temp_file_limit or work_mem for this role, take smaller windows, or index the event time",
            )
        if state == _FORBIDDEN:
            return WarehouseError(
                self.where, said, next_step="have SELECT on it, and USAGE on its schema, granted to this role"
            )
        if state == _NO_UTF8:
            # A database with the encoding SQL_ASCII stores any bytes.
            return WarehouseError(
                self.where,
                f"a text is not UTF-8: {said}",
                next_step="say what it is in the query: convert_from(column::bytea, 'LATIN1')",
            )
        if state is not None and state.startswith(_PASSING):
            ended = "the connection was lost: " if state.startswith(("08", "57P")) else ""
            return TransientError(self.where, f"{ended}{said}", next_step="a run tries again by itself")
        return WarehouseError(self.where, f"the query was refused: {said}")


def _is_io(error: Exception) -> bool:
    status = getattr(error, "status_code", None)
    return isinstance(error, OSError) or getattr(status, "name", "") in ("IO", "TIMEOUT")


def _plain(text: str) -> str:
    """`text` without what the driver adds: its status before it, and the query and the SQLSTATE after it."""
    text = re.sub(r"^[A-Z_]+: ", "", text)
    text = re.sub(r"\s*(\.\s+)?SQLSTATE: \w+$", "", text).partition("\n\nQuery was:")[0]
    text = re.sub(r"^(\[libpq\] )?Failed to (prepare|execute) query[^:]*: ", "", text)
    text = re.sub(r"^\[libpq\] (Execution error \[\w+\]: |PQgetCopyData\(\) failed: )?", "", text)
    return re.sub(r"^could not begin COPY: ", "", text).strip()


def _told(text: str, state: str | None, sql: str, *, lost: bool) -> str:
    """The server's sentence, the place in the query and the hints, without the values of rows that it quotes.

    `lost`: if there is no SQLSTATE, the text is libpq's and about the connection.
    """
    place = _WITH_POSITION.search(text)
    # The place is in the query itself, and not in a function.
    parsing = place is not None and is_part(place[2], sql)
    # An error raised by a function can have any code; then the context names the function.
    about_no_row = "\nCONTEXT:" not in text and (
        lost if state is None else state.startswith(_NO_ROW) or (parsing and state.startswith("42"))
    )
    sentence, *hints = _parts(text)
    if not about_no_row:
        sentence, *hints = (without_values(said, sql) for said in (sentence, *hints))
    return "; ".join([sentence, *([_place(place)] if place is not None and parsing else []), *hints])


def _parts(text: str) -> list[str]:
    """The server's sentence, and its hints."""
    first = re.sub(r"^\w+: {2}", "", text.splitlines()[0].strip()) if text else "no reason given"
    return [first, *_HINT.findall(text)]


def _place(position: "re.Match[str]") -> str:
    number, line, blanks = position.groups()
    # The caret is below the line, which begins with "LINE 1: ".
    place = len(blanks) - len(f"LINE {number}: ")
    word = _WORD.match(line, max(place, 0))
    return f"at {word[0]!r} in line {number}, {line.strip()!r}" if word else f"at the end of line {number}"

"""What PostgreSQL, libpq or the driver said, in a reader's words: what may pass, what must be mended, and no secret."""

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from resources.errors import SluiceError, TransientError
from resources.security.secrets import hide
from resources.security.tls import next_for
from resources.warehouse.errors import WarehouseError
from resources.warehouse.own_words import is_part, without_values

# PostgreSQL, appendix A: connection exceptions, a transaction to try again, no room, a server going down or
# coming up, a lock not had in time, a failing disk.
_PASSING = ("08", "40", "53", "57P", "55P03", "58")
CANCELLED = "57014"
_FORBIDDEN = "42501"
# Of these no sentence holds a value of a row.
_NO_ROW = (*_PASSING, CANCELLED, _FORBIDDEN)
_TEMP_FILE_LIMIT = "53400"
_NO_UTF8 = "22021"

_WITH_POSITION = re.compile(r"\nLINE (\d+): (.*)\n( *)\^")
_WORD = re.compile(r'"[^"]*"|\w+|\S')
_HINT = re.compile(r"\n(?:DETAIL|HINT):\s+(.*)")

# libpq has no codes for a login that failed, only words. What is not known here may pass by itself.
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
# libpq could not make sense of the URL, and its words may quote any part of it.
_UNREADABLE = re.compile(
    r"invalid (URI|percent|integer|port|connection option)|forbidden value|end of string reached"
    r"|unexpected (character|spaces)|(missing|extra) (\"=\"|key/value)|unterminated|could not match"
)


@dataclass(frozen=True)
class Explainer:
    """Says the errors of one warehouse: `where` is how users know it; `malformed`: user or password in its URL are not
    percent-encoded, so that libpq takes parts of them for host, port or database."""

    where: str
    malformed: bool = False
    certificate: Callable[[], ssl.SSLCertVerificationError | None] = lambda: None
    """Why the server's certificate is not valid, as far as that can be found out."""

    def refused_login(self, error: Exception) -> SluiceError:
        """Why no connection was had."""
        said = " ".join(
            _plain(str(error)).removeprefix("Failed to connect: ").replace("FATAL:  ", "").split()
        )
        if self.malformed or _UNREADABLE.match(said):
            parameter = re.search(r'invalid URI query parameter: "(\w+)"', said)
            told = f": it knows no parameter {parameter[1]!r}" if parameter and not self.malformed else ""
            return WarehouseError(
                self.where,
                f"libpq cannot read the URL{told}",
                # Not with a password in its place, which would be shown as stars, as every other one.
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
        """Why the statement `sql` failed, at once or in the middle of its rows."""
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
            # A database in SQL_ASCII keeps whatever bytes it was given.
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
    """Without the driver's own wrapping: its status before, the query and the SQLSTATE behind."""
    text = re.sub(r"^[A-Z_]+: ", "", text)
    text = re.sub(r"\s*(\.\s+)?SQLSTATE: \w+$", "", text).partition("\n\nQuery was:")[0]
    text = re.sub(r"^(\[libpq\] )?Failed to (prepare|execute) query[^:]*: ", "", text)
    text = re.sub(r"^\[libpq\] (Execution error \[\w+\]: |PQgetCopyData\(\) failed: )?", "", text)
    return re.sub(r"^could not begin COPY: ", "", text).strip()


def _told(text: str, state: str | None, sql: str, *, lost: bool) -> str:
    """The server's sentence, the place it points at and its hints; without the values of rows that it quotes. `lost`: it is
    libpq's about the connection, where it has no state."""
    place = _WITH_POSITION.search(text)
    # It points at a place in the query itself, and not in a function's.
    parsing = place is not None and is_part(place[2], sql)
    # What a function raises can have any code; the context names the function.
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
    # The caret stands below the line with its "LINE 1: " before it.
    place = len(blanks) - len(f"LINE {number}: ")
    word = _WORD.match(line, max(place, 0))
    return f"at {word[0]!r} in line {number}, {line.strip()!r}" if word else f"at the end of line {number}"

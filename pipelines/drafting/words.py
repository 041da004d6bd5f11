"""The words of a column's name, and what they say about it.
Only whole words count, so `paid` is not an id."""

import re
from collections.abc import Iterable

_JOINTS = re.compile(r"(?<=[a-zà-ÿ0-9])(?=[A-ZÀ-Þ])|(?<=[A-ZÀ-Þ])(?=[A-ZÀ-Þ][a-zà-ÿ])")
# Prefixes that people put before the names of tables.
_PREFIXES = {"tbl", "tab", "fact", "fct", "dim", "stg", "raw", "src", "vw", "v", "t"}

IDS = ("id", "uuid", "guid")
KEYS = ("key",)
NUMBERS = ("code", "num", "number", "no", "nr")
# Words for data about a person, or for a secret: as a key it would be in every record, in the ledger and in
# every log that names a key.
_PERSONAL = frozenset(
    """
    tax taxpayer steuer steuernummer steuerid ssn sin nin nino nif cpf pesel bsn svnr aadhaar email mail phone telephone
    tel telefon mobile fax msisdn imsi imei iban bic passport birth birthday birthdate dob national social personal licence
    license card cc pan credit iban surname firstname lastname forename vorname nachname strasse street address ip password
    secret token taxid
    """.split()  # noqa: SIM905 - a page of quoted words reads worse
)
_PERSONAL_COMMENT = re.compile(
    r"\b(pii|gdpr|dsgvo|confidential|personal(ly)?[ -](data|identif\w+)|social security|tax(payer)?[ -](id|number|no)\b"
    r"|ssn|steuer(nummer|-?id)|e-?mail|phone|passport|iban|national id)",
    re.IGNORECASE,
)
# How a comment says that a column is a key, unless the same sentence has a negation before it.
_KEY_COMMENT = re.compile(
    r"\b(primary|natural|business|unique|candidate|surrogate|technical) (key|id|identifier)\b|\buniquely identif\w+",
    re.IGNORECASE,
)
_DENIED = re.compile(r"\b(not|no|never|neither|nor|former(ly)?|previous(ly)?|old)\b", re.IGNORECASE)


def words(name: str) -> list[str]:
    """The words of a name, in lower case:
    `orderId`, `OrderID`, `order-id` and `Order Id` are `order` and `id`."""
    parts = re.findall(r"\d+|[^\W\d_]+", name)
    return [word.lower() for part in parts for word in _JOINTS.sub(" ", part).split()]


def table_words(name: str) -> list[str]:
    """The words of a table's name, without a prefix that says what kind of table it is."""
    found = words(name)
    return found[1:] if len(found) > 1 and found[0] in _PREFIXES else found


def row_words(table: str) -> set[str]:
    """The words that may name a row of the table, one by one."""
    return set().union(*map(_singulars, table_words(table)))


def names_own_id(column: str, table: str, endings: Iterable[str]) -> bool:
    """Whether `column` is `<one row of table>_<ending>`: `order_id`, `orderid` or `OrderId` of `orders`."""
    found, (*before, last) = "".join(words(column)), table_words(table) or [""]
    rows = ["".join([*before, one]) for one in _singulars(last)]
    return any(found == row + ending for row in rows for ending in endings)


def _singulars(word: str) -> set[str]:
    """The possible singular forms of `word`, and `word` itself."""
    found = {word}
    for ending, instead in (("s", ""), ("es", ""), ("ies", "y")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            found.add(word.removesuffix(ending) + instead)
    return found


def looks_personal(column: str, comment: str | None, table: str) -> str | None:
    """Why the column seems to be about a person, or to be a secret; None if it does not. The words of the
    table's own name are no reason: each row of `taxes` has a tax."""
    for word in words(column):
        if word in _PERSONAL and word not in row_words(table):
            return f"its name has the word {word!r}"
    found = _PERSONAL_COMMENT.search(comment or "")
    return f"its comment has {found[0]!r}" if found else None


def called_a_key(comment: str | None) -> str | None:
    """The words with which a comment says that its column is the key of the row; None if it does not."""
    for found in _KEY_COMMENT.finditer(comment or ""):
        before = re.split(r"[.;]", found.string[: found.start()])[-1]
        if not _DENIED.search(before):
            return found[0]
    return None

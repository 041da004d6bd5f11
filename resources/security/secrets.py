"""The secrets of this process, and texts without them.

Secrets in the settings are learned when the settings are read. Every text that leaves the process passes
through `hide`: errors, log records, standard output and error, and what Dagster stores of an exception
(`resources.security.outlets`). A secret is replaced in each form in which it may appear: as written,
URL-decoded, URL-encoded, inside base64, and escaped as in JSON and Python.
"""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from resources.security.masking import STARS, Secret, mask_logins

# A shorter secret occurs in every text; it is masked only at the place of a password.
SHORTEST = 4
# A shorter secret, and a part of a secret, is replaced only if it is a separate word.
_SHORTEST_WITHIN = 6
# Words that occur in settings, commands and messages of Sluice itself. They are not secret as passwords, and
# if they were masked, no text would be readable. Such a password is masked only at the place of a password.
_OWN_WORDS = frozenset(
    """
    sluice kafka registry warehouse snapshots settings ledger topic broker brokers event events window windows
    postgres postgresql duckdb dagster admin user username password passwd secret secrets token login client default
    localhost plain plaintext sasl sasl_ssl sasl_plaintext oauthbearer oidc gssapi scram-sha-256 scram-sha-512
    none null true false https http snappy gzip zstd test
    """.split()  # noqa: SIM905 - a page of quoted words reads worse
)


class KnownSecrets:
    """The secrets that were learned. A secret stays known when its setting changes, because a text may still
    contain a password that was replaced; only `forget` drops them."""

    def __init__(self) -> None:
        self._secrets: set[Secret] = set()
        self._shown: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def learn(self, secrets: Iterable[Secret], shown: Iterable[str] = ()) -> None:
        """From now on, replace these secrets, except those that equal a word in `shown`."""
        new, words = set(secrets) - self._secrets, {word.lower() for word in shown} - self._shown
        if new or words:
            self._secrets |= new
            self._shown |= words
            self._pattern = self._compiled()

    def hide(self, text: str) -> str:
        """`text` with stars instead of every known secret."""
        return text if self._pattern is None else self._pattern.sub(STARS, text)

    def forget(self) -> None:
        """Drop all secrets."""
        self.__init__()  # type: ignore[misc]

    def _compiled(self) -> re.Pattern[str] | None:
        within: set[str] = set()
        words: set[str] = set()
        for secret in self._secrets:
            for text in {secret.text, secret.text.strip()}:
                if self._is_word(text):
                    continue
                (within if len(text) >= _SHORTEST_WITHIN else words).update(_forms(text))
                within.update(_in_base64(text, secret.user))
            # A part may be read as a host name, which is shown in lower case.
            parts = [one for part in secret.parts for one in (part, part.lower()) if not self._is_word(part)]
            words.update(form for part in parts for form in _forms(part))
        within = {form for form in within if len(form) >= _SHORTEST_WITHIN}
        words = {form for form in words if len(form) >= SHORTEST} - within
        if not within and not words:
            return None
        alternatives = [
            *(re.escape(form) for form in sorted(within, key=len, reverse=True)),
            *(rf"(?<![^\W_]){re.escape(form)}(?![^\W_])" for form in sorted(words, key=len, reverse=True)),
        ]
        return re.compile("|".join(alternatives))

    def _is_word(self, text: str) -> bool:
        return len(text) < SHORTEST or text.lower() in _OWN_WORDS or text.lower() in self._shown


_known = KnownSecrets()
learn, hide, forget = _known.learn, _known.hide, _known.forget


def hide_all(text: str) -> str:
    """As `hide`, and without the logins of URLs, also unknown ones: for a text that somebody else wrote."""
    return mask_logins(hide(text))


def _forms(text: str) -> Iterator[str]:
    """The forms in which a text may be written: as is, URL-decoded, URL-encoded, and escaped as in
    JSON, Python, HTML and SQL."""
    for plain in {text, unquote(text), unquote_plus(text)}:
        data = _bytes(plain)
        encoded = {quote(data, safe=""), quote(data), quote_plus(data)}
        yield from (
            plain,
            *encoded,
            *(re.sub("%..", lambda one: one[0].lower(), form) for form in encoded),
            json.dumps(plain)[1:-1],
            json.dumps(plain, ensure_ascii=False)[1:-1],
            repr(plain)[1:-1],
            ascii(plain)[1:-1],
            repr(data)[2:-1],
            html.escape(plain),
            plain.replace("'", "''"),
            plain.replace("\\", "\\\\").replace("'", "\\'"),
        )


def _in_base64(text: str, user: str) -> Iterator[str]:
    """The forms of a text inside base64 and in hex: alone, as the password of its
    user, and inside longer data."""
    for plain in {text, unquote(text)}:
        for whole in {plain, f"{user}:{plain}", f"{unquote(user)}:{plain}"}:
            yield from _base64(_bytes(whole))
        data = _bytes(plain)
        for before in range(3):
            # Three bytes make four characters. Characters that also contain bits of a neighbour are left out.
            first = -before % 3
            inner = data[first : first + (len(data) - first) // 3 * 3]
            yield from _base64(inner)
            yield data.hex()
            yield data.hex().upper()


def _base64(data: bytes) -> Iterator[str]:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass" if not text.isascii() else "strict")

"""Values in files, above all secrets: `SLUICE_KAFKA_SASL_PASSWORD_FILE=/run/secrets/kafka`.

A file is read again whenever a client is created. So a secret that was rotated is used without a restart.
"""

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from resources.security.masking import secrets_of
from resources.security.secrets import learn
from resources.settings.errors import SettingsError
from resources.settings.files import absolute_file
from resources.wording import text_of

# A bundle of certificates has some hundred kB.
_MOST_BYTES = 1_000_000


def read_secret(path: Path, setting: str, name: str) -> str:
    """The value of `setting` in a file, without the line end. `name`: the
    variable or key that names the file.

    Raises SettingsError if the file is missing, unreadable, empty, too large, or not text.
    """
    where = f"{name}={path}"
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise SettingsError(
                where, "is not a regular file", allowed="a file, which can be read repeatedly"
            )
        if found.st_size > _MOST_BYTES:
            raise SettingsError(
                where,
                f"has {found.st_size:,} bytes, too many for a value",
                allowed=f"at most {_MOST_BYTES:,}",
            )
        with path.open("rb") as handle:
            data = handle.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise SettingsError(
            where, "there is no such file", next_step="mount the secret there, or correct the path"
        ) from None
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) else text_of(error)
        raise SettingsError(
            where, f"cannot be read: {told}", next_step="give this user the right to read the file"
        ) from None
    try:
        # An editor may have begun the file with a byte order mark, which is not part of the value.
        text = data.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise SettingsError(where, f"is not UTF-8 text (byte {error.start})") from None
    if "\0" in text:
        raise SettingsError(where, "holds a zero byte, so it is no text")
    if not text:
        raise SettingsError(where, "is empty", next_step="write the value into the file, in one line")
    learn(secrets_of(setting, text))
    return text


@dataclass(frozen=True)
class SecretFile:
    """A file that contains a value. `named_by`: the variable or key that names the file. `base`: the folder that
    a relative path in the value starts from; None if it is the working directory and that was deleted."""

    named_by: str
    path: Path
    base: Path | None


class CurrentValues(Mapping[str, str]):
    """Settings of one group, by name. Those in files are read again at each access, so that a new client logs
    in with the current secret. If a file cannot be read at that moment, its last value is used, because
    somebody may be replacing it."""

    def __init__(self, group: str, values: Mapping[str, str], files: Mapping[str, SecretFile]) -> None:
        self._group, self._values, self._files = group, dict(values), dict(files)

    def __getitem__(self, name: str) -> str:
        if name in self._files:
            file = self._files[name]
            try:
                text = read_secret(file.path, f"{self._group}.{name}", file.named_by)
                self._values[name] = absolute_file(text, file.base) if self._group == "warehouse" else text
            except SettingsError:
                return self._values[name]
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<{self._group}: {', '.join(self._values)}>"

    def fingerprint(self) -> str:
        """A text that changes if the content of a file changes."""
        found = sha256()
        for name in sorted(self._files):
            found.update(self[name].encode() + b"\0")
        return found.hexdigest()

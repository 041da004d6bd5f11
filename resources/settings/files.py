"""The settings file, and paths that are relative to it."""

import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from resources.settings.errors import SettingsError
from resources.wording import cut, text_of

ROOT = Path(__file__).resolve().parents[2]
"""The folder that contains `pipelines/` and `resources/`: Sluice's tree, or the
packages of an environment."""


def require_regular(path: Path, where: str) -> None:
    """Raise SettingsError, which names `where`, unless this is a file that can be read repeatedly. A pipe would
    make every process wait for whoever writes it."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise SettingsError(where, "there is no such file", next_step="correct the path") from None
    except (OSError, ValueError) as error:
        raise SettingsError(
            where,
            f"cannot be read: {getattr(error, 'strerror', None) or error}",
            next_step="correct the path, or give this user the right to read the file",
        ) from None
    if not stat.S_ISREG(mode):
        raise SettingsError(where, "is not a regular file", allowed="a file, which can be read repeatedly")


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a file; {} if the file does not exist. Raises SettingsError with
    the reason if it is not TOML."""
    if not path.exists():
        return {}
    require_regular(path, str(path))
    try:
        text = path.read_text(encoding="utf-8-sig")
        return tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise SettingsError(
            str(path), f"not valid TOML: it is not UTF-8 (byte {error.start})", next_step="save it as UTF-8"
        ) from None
    except OSError as error:
        raise SettingsError(str(path), f"cannot be read: {error.strerror}") from None
    except RecursionError:
        raise SettingsError(str(path), "not valid TOML: it is nested too deep") from None
    except ValueError as error:  # a TOMLDecodeError, or Python's error for a number of 4,300 digits
        raise SettingsError(
            str(path),
            f"not valid TOML: {cut(text_of(error), 200)}",
            allowed='lines such as [kafka], name = "text", name = 7, name = true; a text stands in double quotes, and a '
            "table or a name is written once",
        ) from None


def expanded(path: str, where: str) -> Path:
    """`path` with a home folder in place of `~`. Raises SettingsError, which names `where`, if there is no such
    user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise SettingsError(
            where,
            f"the home folder of {path.partition('/')[0]} is not known",
            next_step="correct the user's name, or write the absolute path",
        ) from None


def working_folder() -> Path:
    """The working directory. Raises SettingsError if it was deleted."""
    try:
        return Path.cwd()
    except OSError as error:
        raise SettingsError(
            f"working directory {os.environ.get('PWD', '')}".rstrip(),
            f"it cannot be used, it was probably deleted: {error.strerror}",
            next_step="change to a folder that exists; or name the project with SLUICE_TOML=/absolute/path/sluice.toml, "
            "and write each path in a variable as an absolute one",
        ) from None


def below(base: Path | None, path: Path) -> Path:
    """`path`, absolute; a relative path starts at `base`. None is the working directory, which need not exist
    for an absolute path."""
    if path.is_absolute():
        return path
    return (working_folder() if base is None else base) / path


def absolute(place: str, base: Path | None, where: str) -> str:
    """`place`, which is a URL or a folder; a relative folder becomes absolute, starting at `base`. `where` is
    the place that an error names."""
    return place if "://" in place else str(below(base, expanded(place, where)))


def absolute_file(url: str, base: Path | None) -> str:
    """A warehouse's URL. `duckdb://name.duckdb`, without the third slash, is relative to `base`."""
    scheme, separator, path = url.partition("://")
    relative = separator and scheme == "duckdb" and not path.startswith("/")
    return f"duckdb://{below(base, Path(path))}" if relative else url


def flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The rows of a table with the keys of its inner tables joined by dots: TOML reads `sasl.mechanism = …` as
    nested tables. A name that is written in two spellings comes twice."""
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from flatten(value, f"{name}.")
        else:
            yield name, value


def plain(value: object) -> str:
    """A value of TOML as the text of an environment variable."""
    return str(value).lower() if isinstance(value, bool) else str(value)

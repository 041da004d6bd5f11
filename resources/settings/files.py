"""The settings file, and paths that are relative to it."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resources.settings.errors import SettingsError
from resources.wording import cut, text_of

ROOT = Path(__file__).resolve().parents[2]
"""The folder that contains `pipelines/` and `resources/`: Sluice's tree, or the
packages of an environment."""


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a file; {} if the file does not exist. Raises SettingsError with
    the reason if it is not TOML."""
    if not path.exists():
        return {}
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


def absolute(place: str, base: Path) -> str:
    """`place`, which is a URL or a folder; a relative folder becomes absolute, starting at `base`."""
    return place if "://" in place else str(base / Path(place).expanduser())


def absolute_file(url: str, base: Path) -> str:
    """A warehouse's URL. `duckdb://name.duckdb`, without the third slash, is relative to `base`."""
    scheme, separator, path = url.partition("://")
    relative = separator and scheme == "duckdb" and not path.startswith("/")
    return f"duckdb://{base / path}" if relative else url


def flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A table with the keys of its inner tables joined by dots: TOML reads
    `sasl.mechanism = …` as nested tables."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def plain(value: object) -> str:
    """A value of TOML as the text of an environment variable."""
    return str(value).lower() if isinstance(value, bool) else str(value)

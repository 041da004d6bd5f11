"""Small state files, written completely or not at all."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Any) -> None:
    """Write `value` so that a reader, also after a crash, sees the old file or the
    new one, never a part of one."""
    descriptor, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w") as text:
            json.dump(value, text, indent=2)
            text.write("\n")
            text.flush()
            os.fsync(text.fileno())
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def read_json(path: Path) -> Any:
    """The file's value, or None if the file does not exist or does not contain JSON."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None

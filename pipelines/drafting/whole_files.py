"""New files, all of them or none: after an error, a full disk or Ctrl-C no part of them is left."""

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from resources.errors import SluiceError
from resources.security.private_files import as_the_user_likes


def write_all(texts: Mapping[Path, str]) -> None:
    """Write each text as the new file at its path, in UTF-8; a missing folder is created.

    Raises SluiceError if a file already exists, or cannot be written; nothing is overwritten.
    """
    folders = [folder for folder in dict.fromkeys(path.parent for path in texts) if not folder.exists()]
    aside = {path: path.with_name(f".{path.name}.{secrets.token_hex(4)}") for path in texts}
    made: dict[Path, os.stat_result] = {}
    done = False
    path = next(iter(texts))
    try:
        for path in folders:
            path.mkdir(exist_ok=True)
        for path, text in texts.items():
            with aside[path].open("x", encoding="utf-8", newline="\n") as file:
                made[path] = os.fstat(file.fileno())
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        for path in texts:
            _appear(aside[path], path)
        for path in (*folders, *texts):
            as_the_user_likes(path)
        done = True
    except FileExistsError:
        raise SluiceError(
            str(path),
            "is there already, and nothing is overwritten",
            next_step="choose another name, or edit that file",
        ) from None
    except OSError as error:
        raise SluiceError(
            str(path),
            f"cannot be written: {error.strerror}; no file was left",
            next_step="mend that, and draft again",
        ) from None
    finally:
        for path, other in aside.items():
            with suppress(OSError):
                # Removes only a file that was made here, whichever name it has by now.
                if not done and path in made and os.path.samestat(made[path], path.stat()):
                    path.unlink()
            with suppress(OSError):
                other.unlink()
        for folder in [] if done else folders:
            with suppress(OSError):  # somebody else's file is in it
                folder.rmdir()


def _appear(made: Path, path: Path) -> None:
    """Give `made` the name `path`, which must be free; the file appears as a whole, or not at all."""
    try:
        os.link(made, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: whoever creates the empty file has the name
        path.touch(exist_ok=False)
        try:
            made.replace(path)
        except BaseException:
            path.unlink()
            raise

"""A file system that is not on this machine and may answer slowly: each call to it is reported as a wait."""

from typing import Any

from resources.process.waiting import waiting_for


class AwaitedFile:
    """An open file of such a file system."""

    def __init__(self, file: Any, where: str) -> None:
        self._file, self._where = file, where

    def __getattr__(self, name: str) -> Any:
        return _awaited(getattr(self._file, name), self._where)

    def __enter__(self) -> "AwaitedFile":
        return self

    def __exit__(self, *_: object) -> None:
        with waiting_for(self._where):
            self._file.close()


class AwaitedFileSystem:
    """`fs`, a file system of fsspec, with waits reported; in all other respects it is `fs`.
    `where` is its name in messages."""

    def __init__(self, fs: Any, where: str) -> None:
        self.fs, self._where = fs, where

    def __getattr__(self, name: str) -> Any:
        return _awaited(getattr(self.fs, name), self._where)

    def open(self, *args: Any, **more: Any) -> AwaitedFile:
        """The opened file."""
        with waiting_for(self._where):
            return AwaitedFile(self.fs.open(*args, **more), self._where)


def _awaited(found: Any, where: str) -> Any:
    if not callable(found):
        return found

    def asked(*args: Any, **more: Any) -> Any:
        with waiting_for(where):
            return found(*args, **more)

    return asked

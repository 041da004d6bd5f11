"""Everything outside the process that a run uses. It is opened when it is first
needed, and closed together."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any

from resources.identity import Identity
from resources.process.memory import keep_little
from resources.settings import Settings, load_settings
from resources.snapshots import SnapshotStore, StoreAside
from resources.warehouse import Warehouse, open_warehouse

if TYPE_CHECKING:  # imported when first needed: the import takes a third of a second
    from resources.kafka.reading.shared_consumer import LentConsumer
    from resources.kafka.topics.ledger_topic import LedgerLog
    from resources.kafka.topics.watch import TopicWatch
    from resources.registry import Registry


class Platform:
    """Snapshots, ledger, registry and warehouses of the settings. Not shared between threads."""

    def __init__(
        self, settings: Settings | None = None, *, say: Callable[[str], None] = lambda _: None
    ) -> None:
        keep_little()
        self.settings = settings or load_settings()
        self.say = say
        self._warehouses: dict[str, Warehouse] = {}
        self._secrets = self.settings.secrets_fingerprint()
        self.judging: dict[str, Any] = {}
        """For each query, kept from one window to the next: how long it takes to read its rows again."""

    @cached_property
    def snapshots(self) -> SnapshotStore:
        """The snapshot store."""
        return SnapshotStore(self.settings.snapshots)

    @cached_property
    def registry(self) -> "Registry":
        """The schema registry."""
        from resources.registry import ConfluentRegistry

        return ConfluentRegistry.from_settings(self.settings)

    @cached_property
    def ledger(self) -> "LedgerLog":
        """The ledger. Its first use creates or checks its topic."""
        from resources.kafka.topics.ledger_topic import LedgerLog

        return LedgerLog(self.settings, say=lambda text: self.say(text))

    @property
    def identity(self) -> Identity:
        """The ids of what this process is connected to. Creates nothing: a store without an id has None."""
        return Identity(self.watch.cluster_id, self.snapshots.store_id(), self.settings.code_location)

    @cached_property
    def watch(self) -> "TopicWatch":
        """Checks whether topics are still the same topics."""
        from resources.kafka.topics.watch import TopicWatch

        return TopicWatch(self.settings)

    @cached_property
    def reader(self) -> "LentConsumer":
        """The consumer that reads events back."""
        from resources.kafka.reading.shared_consumer import LentConsumer

        return LentConsumer(self.settings)

    def warehouse(self, name: str) -> Warehouse:
        """The warehouse of this name; raises WarehouseError with the known names."""
        if name not in self._warehouses:
            self._warehouses[name] = open_warehouse(
                name, self.settings.warehouses, memory_limit=self.settings.memory_limit
            )
        return self._warehouses[name]

    def let_writers(self) -> None:
        """Close the warehouses whose files nobody can write to while they are open; they
        are opened again when needed."""
        for warehouse in self._warehouses.values():
            if warehouse.holds_off_writers:
                warehouse.close()

    def renew(self) -> bool:
        """Close all connections if a secret in a file has changed since they were opened. They are
        then opened again with the new secret. True if they were closed. Call it between two windows,
        when nothing is in progress."""
        secrets = self.settings.secrets_fingerprint()
        if secrets == self._secrets:
            return False
        self._secrets = secrets
        self._disconnect()
        return True

    @contextmanager
    def aside(self) -> Iterator["Platform"]:
        """The same platform for a trial that leaves nothing behind: snapshots are written to a folder that is
        removed at the end, and read from there or else from the store."""
        with tempfile.TemporaryDirectory(prefix="sluice-aside-") as folder:
            yield _Aside(self, folder)

    def close(self) -> None:
        """Close everything that was opened."""
        self._disconnect()
        if "snapshots" in self.__dict__:
            self.__dict__.pop("snapshots").close()
        self.__dict__.pop("watch", None)

    def _disconnect(self) -> None:
        for warehouse in self._warehouses.values():
            warehouse.close()
        self._warehouses.clear()
        for name in ("ledger", "registry", "reader"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()
        if "watch" in self.__dict__:  # others keep a reference to it
            self.watch.close()

    def __enter__(self) -> "Platform":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Aside(Platform):
    """Shares the open connections of the other platform, and does not close them."""

    def __init__(self, platform: Platform, folder: str) -> None:
        super().__init__(platform.settings, say=platform.say)
        self._platform = platform
        self._warehouses, self.judging = platform._warehouses, platform.judging
        self.__dict__["snapshots"] = StoreAside(folder, platform.snapshots)

    @property
    def registry(self) -> "Registry":
        return self._platform.registry

    @property
    def ledger(self) -> "LedgerLog":
        return self._platform.ledger

    @property
    def watch(self) -> "TopicWatch":
        return self._platform.watch

    @property
    def reader(self) -> "LentConsumer":
        return self._platform.reader

    def close(self) -> None:
        """Does nothing: the connections belong to the other platform."""

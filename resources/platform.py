"""Everything outside that one run uses, opened when first needed and closed together."""

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

if TYPE_CHECKING:  # imported when first needed, as it is opened: a third of a second
    from resources.kafka.reading.shared_consumer import LentConsumer
    from resources.kafka.topics.ledger_topic import LedgerLog
    from resources.kafka.topics.watch import TopicWatch
    from resources.registry import Registry


class Platform:
    """Snapshots, ledger, registry and warehouses by the settings. Not shared between threads."""

    def __init__(
        self, settings: Settings | None = None, *, say: Callable[[str], None] = lambda _: None
    ) -> None:
        keep_little()
        self.settings = settings or load_settings()
        self.say = say
        self._warehouses: dict[str, Warehouse] = {}
        self._secrets = self.settings.secrets_fingerprint()
        self.judging: dict[str, Any] = {}
        """What is remembered of each query from one window to the next: how long asking for its rows again takes."""

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
        """The ledger; its topic is created or checked when this is first used."""
        from resources.kafka.topics.ledger_topic import LedgerLog

        return LedgerLog(self.settings, say=lambda text: self.say(text))

    @property
    def identity(self) -> Identity:
        """What this process is connected to. Makes nothing: a store without an id has none."""
        return Identity(self.watch.cluster_id, self.snapshots.store_id(), self.settings.code_location)

    @cached_property
    def watch(self) -> "TopicWatch":
        """What asks whether topics are still the same."""
        from resources.kafka.topics.watch import TopicWatch

        return TopicWatch(self.settings)

    @cached_property
    def reader(self) -> "LentConsumer":
        """What reads events back."""
        from resources.kafka.reading.shared_consumer import LentConsumer

        return LentConsumer(self.settings)

    def warehouse(self, name: str) -> Warehouse:
        """The warehouse of this name; raises WarehouseError naming the known ones."""
        if name not in self._warehouses:
            self._warehouses[name] = open_warehouse(
                name, self.settings.warehouses, memory_limit=self.settings.memory_limit
            )
        return self._warehouses[name]

    def let_writers(self) -> None:
        """Give back the files that nobody can write to meanwhile; they are opened again when they are needed."""
        for warehouse in self._warehouses.values():
            if warehouse.holds_off_writers:
                warehouse.close()

    def renew(self) -> bool:
        """Close what is connected where a secret in a file has changed since it was opened, so that it is opened again with
        the new one. Whether that was so. To be called between two windows, when nothing is under way."""
        secrets = self.settings.secrets_fingerprint()
        if secrets == self._secrets:
            return False
        self._secrets = secrets
        self._disconnect()
        return True

    @contextmanager
    def aside(self) -> Iterator["Platform"]:
        """The same, for a try that leaves nothing behind: snapshots are written to a folder that is removed at the end, and
        read from there or else from the store."""
        with tempfile.TemporaryDirectory(prefix="sluice-aside-") as folder:
            yield _Aside(self, folder)

    def close(self) -> None:
        """Close what was opened."""
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
        if "watch" in self.__dict__:  # others hold it
            self.watch.close()

    def __enter__(self) -> "Platform":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Aside(Platform):
    """What is connected stays so, and is not closed with it."""

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
        """Nothing is its own."""

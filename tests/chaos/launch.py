"""What a launched process does: the three steps of one window and the reading back, reported by marks.

It is forked from a warm server that has imported everything and opened nothing, so that a launch costs only
its own work.
"""

import os
import resource
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipelines import load_catalogue
from pipelines.cli.output.errors import tell
from pipelines.publishing.publisher import Publisher
from pipelines.publishing.request import PublishRequest
from pipelines.reconciling.reconciler import Reconciler
from pipelines.run_events import sentence
from pipelines.stages.source import source_window
from pipelines.stages.transform import transform_window
from resources.errors import SluiceError, TransientError
from resources.platform import Platform
from resources.settings import load_settings
from resources.warehouse.duckdb.warehouse import DuckDBWarehouse
from tests.chaos.stages import Marker, install

TOLD, PASSING, DIFFERS, DEFECT = 1, 2, 3, 70


@dataclass(frozen=True)
class Order:
    """One launch. `file_limit`: how many bytes a file of this process may have; `lost_after`: how many
    batches the warehouse returns before its connection is lost."""

    assets: str
    event: str
    window: str
    environ: dict[str, str]
    run_id: str
    log: str
    correct: bool = False
    file_limit: int | None = None
    lost_after: int | None = None
    more: dict[str, str] = field(default_factory=dict)


def run(order: Order, pipe: Connection) -> None:
    """The process. Exit codes: 0; TOLD (an error in a user's words); PASSING (an error that is retried by
    itself); DIFFERS (it read back something else); DEFECT (a stack trace)."""
    log = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    marker = Marker(pipe.fileno())
    try:
        install(marker)
        if order.file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (order.file_limit, resource.RLIM_INFINITY))
        if order.lost_after is not None:
            _lose_warehouse(order.lost_after)
        code = _steps(order)
    except SluiceError as error:
        tell(error)
        code = PASSING if isinstance(error, TransientError) else TOLD
    except Exception:
        traceback.print_exc()
        code = DEFECT
    sys.stdout.flush()
    sys.stderr.flush()
    # As at the end of a process; the system frees what its C libraries hold open.
    os._exit(code)


def _steps(order: Order) -> int:
    event = load_catalogue(Path(order.assets)).find(order.event)
    window = event.windows.window(order.window)
    with Platform(load_settings({**order.environ, **order.more}), say=_say) as platform:
        source_window(event, window, platform, run_id=order.run_id)
        done = transform_window(event, window, platform, run_id=order.run_id)
        if not done.passed:
            raise SluiceError(f"{event.full_name} {window.key}", f"blocked: {done.verdict}")
        request = PublishRequest(on_definition_change="correct" if order.correct else "ask")
        publisher = Publisher(
            event, platform, run_id=order.run_id, request=request, tell=lambda event: _say(sentence(event))
        )
        result = publisher.publish(window.key)
        with Reconciler(event, platform) as reconciler:
            found = reconciler.reconcile(window.key)
        _say(f"{window.key}: {result.action}, {result.published} published; {found.told}")
    return 0 if found.ok else DIFFERS


def _say(text: str) -> None:
    print(text, flush=True)


def _lose_warehouse(batches_before: int) -> None:
    """A connection that breaks after `batches_before` batches, with the error of a driver that lost it."""
    real = DuckDBWarehouse.stream

    @contextmanager
    def stream(self: Any, *arguments: Any, **more: Any) -> Iterator[Any]:
        with real(self, *arguments, **more) as batches:
            yield _broken(batches, batches_before)

    DuckDBWarehouse.stream = stream  # type: ignore[method-assign]


def _broken(batches: Iterator[Any], batches_before: int) -> Iterator[Any]:
    for number, batch in enumerate(batches):
        if number == batches_before:
            break
        yield batch
    raise TransientError("warehouse", "the connection was lost", next_step="launch the window again")

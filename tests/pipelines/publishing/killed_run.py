"""Publishes a window in a separate process and kills that process, with SIGKILL, in the middle.

    python killed_run.py '{"assets": …, "window": …, "after_records": n, "at": "produce" | "record"}'

The settings come from the environment. What was queued until then is on the brokers when the process dies.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from pipelines import load_catalogue
from pipelines.publishing.publisher import Publisher
from pipelines.publishing.sending import producers
from resources.kafka.batches.rows import Rows
from resources.kafka.transactions import TransactionalProducer
from resources.platform import Platform

order = json.loads(sys.argv[1])
produced = 0


class DyingProducer(TransactionalProducer):
    """Dies after the n-th record, or after the ledger's record of the transaction that has it."""

    def produce_rows(self, topic: str, rows: Rows) -> None:
        global produced
        for row in range(len(rows)):
            super().produce_rows(topic, rows.slice(row, 1))
            produced += 1
            if order["at"] == "produce" and produced == order["after_records"]:
                self._die()

    def record(self, *args: Any, **more: Any) -> None:
        super().record(*args, **more)
        if order["at"] == "record" and produced >= order["after_records"]:
            self._die()

    def _die(self) -> None:
        assert self._client.flush(20) == 0
        os.kill(os.getpid(), signal.SIGKILL)


producers.TransactionalProducer = DyingProducer  # type: ignore[attr-defined]
event = load_catalogue(Path(order["assets"])).find("happened")
with Platform() as platform:
    Publisher(event, platform, run_id="killed").publish(order["window"])

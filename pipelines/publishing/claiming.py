"""A window claimed while its rows are made ready.

To claim a window takes the brokers as long as a small window takes to be sourced and transformed. Both at once: the
order that the promise rests on stays, for the ledger is read again behind the claim, by whoever publishes.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

from resources.kafka.transactions import TransactionalProducer

# One that is older was made beside a window that takes long, where it saves nothing. Another run may have taken the
# window over since, and whoever claims last publishes.
_YOUNG_SECONDS = 5.0
_CLAIM_SECONDS = 10.0


class ClaimAhead:
    """Claims `window` by a producer of `make` in a thread; `take` it or `close` this."""

    def __init__(self, window: str, make: Callable[[], TransactionalProducer]) -> None:
        self.window = window
        self._make = make
        self._producer: TransactionalProducer | None = None
        self._claimed_at = 0.0
        # No daemon: what it works in must not be freed below it when the process ends.
        self._thread = Thread(target=self._claim, name=f"sluice-claims-{window}")
        self._thread.start()

    def _claim(self) -> None:
        producer: TransactionalProducer | None = None
        try:
            producer = self._make()
            producer.claim(_CLAIM_SECONDS)
            self._producer, self._claimed_at = producer, time.monotonic()
        except Exception:  # whoever claims it in its turn is told
            if producer is not None:
                with suppress(Exception):
                    producer.close()

    def take(self) -> TransactionalProducer | None:
        """The producer, the caller's from now on; None where the window must be claimed in its turn."""
        self._thread.join()
        if time.monotonic() - self._claimed_at > _YOUNG_SECONDS:
            self.close()
        producer, self._producer = self._producer, None
        return producer

    def close(self) -> None:
        """Give up a claim that was not taken: nothing was begun with it."""
        self._thread.join()
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()

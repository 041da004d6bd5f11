"""Logins that brokers refuse.

To librdkafka such a login is a connection that did not come about, which is tried again: what was asked for times out,
and only the client's error callback is told why. Who waits for an answer asks here, too.
"""

import time
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from resources.kafka.errors import is_login

T = TypeVar("T")

_LOOK_SECONDS = 0.25
_AWAY = {KafkaError._TRANSPORT, KafkaError._RESOLVE}
# Another broker of the cluster may answer yet.
_PATIENCE_SECONDS = 2.0


class Login:
    """What brokers said of one client's login, as its error callback; None where they let it in, or went away since."""

    def __init__(self) -> None:
        self.refused: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        if is_login(error):
            # A handshake breaks off without a word about certificates where a broker goes down.
            if error.code() != KafkaError._SSL or "certificate" in error.str():
                self.refused = error
        elif error.code() in _AWAY:
            self.refused = None


class Admin(AdminClient):
    """confluent-kafka's admin client, which says when its login is refused."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._login, self._let_in = Login(), False
        watched: dict[str, Any] = {**config, "error_cb": self._login}
        super().__init__(watched)

    def answer(self, future: Future[T]) -> T:
        """What the brokers answer to a request of this client. Raises KafkaException; for a login that is refused
        within seconds, and not as a request that timed out."""
        if self._let_in:
            # What one broker said since, in a restart for instance, is no reason for what is slow now.
            self.poll(0)
            self._login.refused = None
        started = time.monotonic()
        while True:
            try:
                found = future.result(timeout=_LOOK_SECONDS)
                self._let_in = True
                return found
            except TimeoutError:
                if time.monotonic() - started < _PATIENCE_SECONDS:
                    continue
                self.poll(0)
                if self._login.refused:
                    raise KafkaException(self._login.refused) from None

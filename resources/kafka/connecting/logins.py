"""Logins that brokers refuse.

To librdkafka such a login is a connection that did not come about, which is tried again: what was asked for times out,
and only the client's error callback is told why. Who waits for an answer asks here, too.
"""

import ctypes
import time
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from resources.errors import SluiceError
from resources.kafka.connecting.diagnosis import diagnose
from resources.kafka.errors import NO_ANSWER, KafkaRefused, explain, is_login, kafka_error
from resources.process.waiting import waiting_for

T = TypeVar("T")

_LOOK_SECONDS = 0.25
_AWAY = {KafkaError._TRANSPORT, KafkaError._RESOLVE}
# Another broker of the cluster may answer yet.
_PATIENCE_SECONDS = 2.0
_DIAGNOSED_SECONDS = 10.0


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
    """confluent-kafka's admin client, which says when its login is refused, and why nobody answers."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._login, self._let_in = Login(), False
        self._config = {name: value for name, value in config.items() if isinstance(value, str)}
        self._diagnosis: SluiceError | None = None
        self._diagnosed_at = float("-inf")
        watched: dict[str, Any] = {**config, "error_cb": self._login}
        super().__init__(watched)

    def answer(self, future: Future[T]) -> T:
        """What the brokers answer to a request of this client. Raises KafkaException; for a login that is refused
        within seconds, and not as a request that timed out. Raises KafkaRefused as soon, where no answer can come."""
        with waiting_for(f"Kafka {self._config.get('bootstrap.servers', '')} to answer a request"):
            return self._answer(future)

    def _answer(self, future: Future[T]) -> T:
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
                    if self._login.refused.code() == KafkaError._SSL and self.diagnosed():
                        self._abandon()
                        raise self._cause() from None
                    raise KafkaException(self._login.refused) from None
                # What was reached once may be away for a while, and is asked until the time is up.
                if not self._let_in and self.hopeless():
                    self._abandon()
                    raise self._cause() from None

    def explained(self, where: str, error: KafkaException | KafkaError) -> SluiceError:
        """As `explain`; and why brokers do not answer, where they do not and it can be found out."""
        # Nothing is asked again behind this: a look that found nothing, on a busy machine perhaps, is not the last word.
        if kafka_error(error).code() in NO_ANSWER and (self.diagnosed() or self._looked()):
            return self._cause()
        return explain(where, error)

    def named(self, error: Exception) -> Exception:
        """Why brokers do not answer, where that can be found out, in place of `error`, which says that they do not."""
        return self._cause() if self.diagnosed() else error

    def hopeless(self) -> bool:
        """Whether no answer can come until a setting is changed; `explained` then says which."""
        return self.diagnosed() and isinstance(self._diagnosis, KafkaRefused)

    def diagnosed(self) -> bool:
        """Whether it is known why brokers do not answer; looked up again after some seconds only."""
        if time.monotonic() - self._diagnosed_at > _DIAGNOSED_SECONDS:
            return self._looked()
        return self._diagnosis is not None

    def _looked(self) -> bool:
        """Look up why brokers do not answer; whether that is known now."""
        self._diagnosis = diagnose(self._config, self._brokers)
        self._diagnosed_at = time.monotonic()
        return self._diagnosis is not None

    def _abandon(self) -> None:
        """Never destroy this client: while requests wait for a broker that cannot be reached, librdkafka 2.16 may wait for
        that broker's thread for ever. A process that ends takes it along."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))

    def _cause(self) -> SluiceError:
        # A new one each time, so that none that was raised, and leads back to this client, is kept by it.
        found = self._diagnosis
        assert found is not None
        return type(found)(found.where, found.problem, allowed=found.allowed, next_step=found.next_step)

    def _brokers(self, seconds: float) -> dict[int, tuple[str, int]]:
        # By another client, which begins at the address of the settings: this one knows the brokers' own addresses, and
        # asks nobody else.
        quiet: dict[str, Any] = {**self._config, "log_level": "0", "error_cb": lambda _: None}
        found = AdminClient(quiet).list_topics(timeout=seconds).brokers
        return {number: (str(one.host), one.port) for number, one in found.items()}

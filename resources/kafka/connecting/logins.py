"""Logins that brokers refuse.

librdkafka treats a refused login like a failed connection and tries again. The request itself times out, and
only the client's error callback gets the reason. Code that waits for an answer therefore checks here, too.
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
# Another broker of the cluster may still answer.
_PATIENCE_SECONDS = 2.0
_DIAGNOSED_SECONDS = 10.0


class Login:
    """The last refusal that brokers reported for one client's login, through its error callback; None if
    there was no refusal, or if a broker was lost after it."""

    def __init__(self) -> None:
        self.refused: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        if is_login(error):
            # If a broker shuts down, the handshake breaks off with an error that
            # does not mention a certificate.
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
        """Wait for the brokers' answer to a request of this client, and return it.

        Raises KafkaException. A refused login is reported within seconds and not as a request that timed out.
        If no answer can come until a setting is changed, raises KafkaRefused within seconds, too.
        """
        with waiting_for(f"Kafka {self._config.get('bootstrap.servers', '')} to answer a request"):
            return self._answer(future)

    def _answer(self, future: Future[T]) -> T:
        if self._let_in:
            # An error that one broker reported since then, during a restart for example, does
            # not explain a slow answer now.
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
                # Brokers that answered before may be away for a while: wait until the request times out.
                if not self._let_in and self.hopeless():
                    self._abandon()
                    raise self._cause() from None

    def explained(self, where: str, error: KafkaException | KafkaError) -> SluiceError:
        """As `explain`; if the brokers do not answer and the reason can be
        found, the error says the reason."""
        # The caller gives up after this error. So a look that found nothing, perhaps
        # on a busy machine, is repeated.
        if kafka_error(error).code() in NO_ANSWER and (self.diagnosed() or self._looked()):
            return self._cause()
        return explain(where, error)

    def named(self, error: Exception) -> Exception:
        """The reason why brokers do not answer, if it can be found; else `error`, which
        says that they do not answer."""
        return self._cause() if self.diagnosed() else error

    def hopeless(self) -> bool:
        """True if no answer can come until a setting is changed; `explained` then says which setting."""
        return self.diagnosed() and isinstance(self._diagnosis, KafkaRefused)

    def diagnosed(self) -> bool:
        """True if the reason why brokers do not answer is known. It is looked up
        again after some seconds only."""
        if time.monotonic() - self._diagnosed_at > _DIAGNOSED_SECONDS:
            return self._looked()
        return self._diagnosis is not None

    def _looked(self) -> bool:
        """Look up why brokers do not answer. True if the reason is known after that."""
        self._diagnosis = diagnose(self._config, self._brokers)
        self._diagnosed_at = time.monotonic()
        return self._diagnosis is not None

    def _abandon(self) -> None:
        """Keep this client for ever, so that it is never destroyed: while requests wait for a
        broker that cannot be reached, librdkafka 2.16 may wait for that broker's thread for ever.
        The client ends with its process."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))

    def _cause(self) -> SluiceError:
        # A new error each time: a raised error refers to this client (through its traceback),
        # so this client must not keep it.
        found = self._diagnosis
        assert found is not None
        return type(found)(found.where, found.problem, allowed=found.allowed, next_step=found.next_step)

    def _brokers(self, seconds: float) -> dict[int, tuple[str, int]]:
        # Another client asks, which begins at the bootstrap address. This client already knows the brokers'
        # own addresses and asks only those.
        quiet: dict[str, Any] = {**self._config, "log_level": "0", "error_cb": lambda _: None}
        found = AdminClient(quiet).list_topics(timeout=seconds).brokers
        return {number: (str(one.host), one.port) for number, one in found.items()}

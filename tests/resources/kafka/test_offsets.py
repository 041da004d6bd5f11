"""If the client's metadata of the topic is stale,
it is refreshed, and then the offsets are requested again."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from resources.errors import SluiceError
from resources.kafka.reading.offsets import offsets_of


class Client:
    """An admin client whose requests fail with `code` until it has requested the topic's metadata."""

    def __init__(self, code: int) -> None:
        self._error: KafkaError | None = KafkaError(code)
        self.looked = 0

    def list_offsets(self, asked: dict[Any, Any], **_: Any) -> dict[Any, Future[Any]]:
        told: dict[Any, Future[Any]] = {}
        for place in asked:
            told[place] = Future()
            if self._error is not None:
                told[place].set_exception(KafkaException(self._error))
            else:
                told[place].set_result(SimpleNamespace(offset=7))
        return told

    def list_topics(self, topic: str, timeout: float) -> None:  # noqa: ARG002
        self.looked += 1
        self._error = None

    def explained(self, where: str, error: KafkaException) -> SluiceError:
        return SluiceError(where, str(error))


@pytest.mark.parametrize(
    "code",
    [
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
    ],
)
def test_the_client_looks_again_where_what_it_knows_is_old(code: int) -> None:
    client: Any = Client(code)
    assert offsets_of(client, "t", [0, 1]) == [{0: 7, 1: 7}]
    assert client.looked == 1


def test_what_no_look_can_change_is_an_error_at_once() -> None:
    client: Any = Client(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(SluiceError, match="topic t"):
        offsets_of(client, "t", [0])
    assert client.looked == 0

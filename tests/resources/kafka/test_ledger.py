"""The ledger: a run never misses its own last commit, and a ledger that would lose records is refused."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

import pytest

from resources.errors import TransientError
from resources.kafka.errors import KafkaRefused, KafkaUnavailable
from resources.kafka.factory import producer
from resources.kafka.topics.ledger_topic import LedgerLog, ledger_partition
from resources.kafka.topics.topics import TopicMissing
from resources.kafka.transactions import TransactionalProducer
from resources.settings import Settings

if TYPE_CHECKING:
    from tests.resources.kafka.conftest import Cluster

KEY = "flights.v1|2013-01-01"


def commit(settings: Settings, key: str, value: bytes | None, *, times: int = 1) -> None:
    """Commits a ledger record as a publishing run does."""
    with TransactionalProducer(settings, f"id {key}", event="e", window="w", topic="none") as mine:
        mine.claim()
        for _ in range(times):
            mine.begin()
            partition = ledger_partition(key, settings.ledger_partitions)
            mine.record(settings.ledger_topic, partition, key.encode(), value)
            mine.commit()


@contextmanager
def committing(settings: Settings, key: str) -> Iterator[Callable[[bytes], None]]:
    """Like `commit`, once for each call."""
    with TransactionalProducer(settings, f"id {key}", event="e", window="w", topic="none") as mine:
        mine.claim()

        def once(value: bytes) -> None:
            mine.begin()
            partition = ledger_partition(key, settings.ledger_partitions)
            mine.record(settings.ledger_topic, partition, key.encode(), value)
            mine.commit()

        yield once


@contextmanager
def ledger(settings: Settings) -> Iterator[LedgerLog]:
    opened = LedgerLog(settings)
    try:
        yield opened
    finally:
        opened.close()


def key_beside(key: str, partitions: int) -> str:
    """Another key in the same partition."""
    return next(
        other
        for n in range(1000)
        if ledger_partition(other := f"other|{n}", partitions) == ledger_partition(key, partitions)
    )


def test_a_commit_is_read_without_waiting_for_more(
    cluster: "Cluster", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a partition is found by a fetch without records,
    which waits as long as the reader allows."""
    settings = cluster.settings()
    took: dict[str, list[float]] = {"ours": [], "patient": []}
    with ledger(settings) as ours, committing(settings, KEY) as once:
        monkeypatch.setattr("resources.kafka.topics.ledger_topic._FETCH_WAIT_MS", 1500)
        with ledger(settings) as patient:
            for n in range(5):
                once(b"%d" % n)
                for name, log in (("ours", ours), ("patient", patient)):
                    began = time.monotonic()
                    assert log.latest(KEY) == b"%d" % n
                    took[name].append(time.monotonic() - began)
                    assert log._consumer.assignment() == [], "whoever does not read does not fetch either"
    assert 2 * median(took["ours"]) < median(took["patient"])


def test_the_newest_committed_value_is_found(any_cluster: "Cluster") -> None:
    settings = any_cluster.settings()
    with ledger(settings) as log:
        assert log.latest(KEY) is None
        commit(settings, KEY, b"one")
        assert log.latest(KEY) == b"one"
        commit(settings, KEY, b"two", times=3)
        commit(settings, key_beside(KEY, 4), b"beside")
        assert log.latest(KEY) == b"two"
        assert log.latest("never|written") is None
        assert dict(log.entries()) == {KEY: b"two", key_beside(KEY, 4): b"beside"}
    with ledger(settings) as fresh:
        assert fresh.latest(KEY) == b"two"


def test_what_was_committed_before_it_was_asked_for_is_answered(any_cluster: "Cluster") -> None:
    settings = any_cluster.settings()
    with ledger(settings) as log, committing(settings, KEY) as once:
        assert log.known(KEY) == (False, None)
        once(b"one")
        assert log.ask(KEY)() == b"one"
        assert log.known(KEY) == (True, b"one")
        once(b"two")
        answer = log.ask(KEY)
        assert log.known(KEY) == (True, b"one"), "nobody has waited for it"
        assert log._consumer.assignment() != [], "it is on its way meanwhile"
        assert answer() == b"two"
        assert log._consumer.assignment() == []
        log.ask(KEY)
        once(b"three")
        assert log.latest(KEY) == b"three", "an answer that nobody wanted is in nobody's way"
        log.ask(KEY)
        assert log.latest("never|written") is None
        assert log._consumer.assignment() == []


def test_a_deleted_entry_is_gone_also_for_a_reader_that_knew_it(any_cluster: "Cluster") -> None:
    settings = any_cluster.settings()
    with ledger(settings) as log:
        commit(settings, KEY, b"one")
        assert log.latest(KEY) == b"one"
        commit(settings, KEY, None)
        assert log.latest(KEY) is None


def test_an_aborted_value_is_never_seen(any_cluster: "Cluster") -> None:
    settings = any_cluster.settings()
    with ledger(settings) as log:
        commit(settings, KEY, b"one")
        with TransactionalProducer(settings, "x", event="e", window="w", topic="none") as other:
            other.claim()
            other.begin()
            other.record(settings.ledger_topic, ledger_partition(KEY, 4), KEY.encode(), b"aborted")
            other.await_acknowledgements()
        assert log.latest(KEY) == b"one"
        commit(settings, KEY, b"two")
        assert log.latest(KEY) == b"two"


@pytest.mark.parametrize("ends", ["commit", "abort"])
def test_one_s_own_commit_is_found_behind_the_open_transaction_of_another(
    cluster: "Cluster", monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    """Its record hides all later records of the partition from read_committed: seen that way, the partition
    ends before one's own commit, and a run that stops there publishes twice."""
    monkeypatch.setattr("resources.kafka.topics.ledger_topic._SAY_AFTER_SECONDS", 0.3)
    settings = cluster.settings()
    said: list[str] = []
    log = LedgerLog(settings, say=said.append)
    beside = key_beside(KEY, 4)
    with TransactionalProducer(settings, "other", event="e", window="o", topic="none") as other:
        other.claim()
        other.begin()
        other.record(settings.ledger_topic, ledger_partition(beside, 4), beside.encode(), b"open")
        other.await_acknowledgements()
        commit(settings, KEY, b"mine")

        with ThreadPoolExecutor(1) as pool:
            asked: Future[bytes | None] = pool.submit(log.latest, KEY)
            while not said and not asked.done():
                time.sleep(0.01)
            early = asked.done()
            getattr(other, ends)()
            found = asked.result(timeout=60)
    assert found == b"mine"
    assert not early, "the ledger was believed before one's own commit could be seen"
    assert "another run's transaction is open" in said[0]
    assert log.latest(beside) == (b"open" if ends == "commit" else None)
    log.close()


def test_a_transaction_that_never_ends_is_a_passing_fault(cluster: "Cluster") -> None:
    settings = cluster.settings()
    with ledger(settings) as log:
        with TransactionalProducer(settings, "other", event="e", window="o", topic="none") as other:
            other.claim()
            other.begin()
            other.record(settings.ledger_topic, ledger_partition(KEY, 4), KEY.encode(), b"open")
            other.await_acknowledgements()
            with pytest.raises(KafkaUnavailable, match=r"a transaction stays open.*find-hanging"):
                log.latest(KEY, patience_seconds=1)
        # The same reader continues where it was.
        commit(settings, KEY, b"mine")
        assert log.latest(KEY) == b"mine"


def test_brokers_that_go_away_while_it_is_read_are_named_as_that(
    cluster: "Cluster", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.kafka.reading.offsets._ASK_SECONDS", 2)
    settings = cluster.settings()
    with ledger(settings) as log:
        commit(settings, KEY, b"mine")
        real = log._watermarks

        def then_silence(kafka_partitions: list[int], *asked: object) -> dict[int, int]:
            marks = real(kafka_partitions, *asked)  # type: ignore[arg-type]
            cluster.server.pause()
            return marks

        monkeypatch.setattr(log, "_watermarks", then_silence)
        try:
            with pytest.raises(TransientError, match="the brokers did not tell the offsets"):
                log.latest(KEY, patience_seconds=1)
        finally:
            cluster.server.resume()


def test_silence_does_not_pass_for_an_empty_ledger(
    cluster: "Cluster", monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a request for offsets times out, the client reports offset -1001, without an error."""
    settings = cluster.settings()
    with ledger(settings) as log:
        assert log.latest(KEY) is None
        commit(settings, KEY, b"mine")
        monkeypatch.setattr("resources.kafka.reading.offsets._ASK_SECONDS", 1)
        cluster.server.pause()
        try:
            with pytest.raises(TransientError):
                log.latest(KEY)
        finally:
            cluster.server.resume()
        monkeypatch.undo()
        assert log.latest(KEY) == b"mine"


def test_a_ledger_of_another_size_is_refused(cluster: "Cluster") -> None:
    LedgerLog(cluster.settings(ledger_partitions=4)).close()
    with pytest.raises(
        KafkaRefused, match=r"has 4 partitions, the settings say 8.*SLUICE_LEDGER_PARTITIONS=4"
    ):
        LedgerLog(cluster.settings(ledger_partitions=8))


@pytest.mark.parametrize("policy", ["delete", "compact,delete"])
def test_a_ledger_that_would_forget_is_refused(cluster: "Cluster", policy: str) -> None:
    settings = cluster.settings()
    cluster.create(settings.ledger_topic, 4, cleanup_policy=policy)
    with pytest.raises(KafkaRefused, match=r"published twice.*--add-config cleanup\.policy=compact"):
        LedgerLog(settings)


def test_a_missing_ledger_names_the_command_with_its_policy(cluster: "Cluster") -> None:
    with pytest.raises(TopicMissing, match=r"--partitions 4 .*--config cleanup\.policy=compact"):
        LedgerLog(replace(cluster.settings(), create_topics=False))


def test_keys_keep_their_partition_for_ever() -> None:
    """It is written once, and every later version searches there."""
    assert [ledger_partition(key, 16) for key in ("", "a|b", KEY, "é|2013")] == [0, 11, 9, 14]


def test_foreign_records_do_no_harm(cluster: "Cluster") -> None:
    settings = cluster.settings()
    with ledger(settings) as log:
        foreign = producer(settings, "foreign")
        foreign.init_transactions(20)
        foreign.begin_transaction()
        foreign.produce(settings.ledger_topic, b"odd", b"\xff\xfe", partition=ledger_partition(KEY, 4))
        foreign.commit_transaction()
        commit(settings, KEY, b"mine")
        assert log.latest(KEY) == b"mine"


def test_a_record_in_another_partition_than_its_key_s_is_no_run_s(embedded_cluster: "Cluster") -> None:
    """As written by a tool that uses Kafka's partitioner, and not Sluice's."""
    settings = embedded_cluster.settings(ledger_partitions=4)
    own = ledger_partition(KEY, 4)
    with ledger(settings) as opened:
        commit(settings, KEY, b"own")
        with TransactionalProducer(settings, "a tool", event="e", window="w", topic="none") as tool:
            tool.claim()
            tool.begin()
            tool.record(settings.ledger_topic, (own + 1) % 4, KEY.encode(), b"other")
            tool.commit()
        found = dict(opened.newest([KEY]))
        places = {(value.kafka_partition, value.misplaced, bytes(value)) for _, value in opened.entries()}  # type: ignore[attr-defined]
        assert places == {(own, False, b"own"), ((own + 1) % 4, True, b"other")}
        assert found[KEY] == opened.latest(KEY) == opened.known(KEY)[1] == b"own"

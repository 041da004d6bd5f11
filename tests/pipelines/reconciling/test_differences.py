"""One record in a hundred thousand that is dropped, duplicated or altered is found and named, whatever else
is on the topic."""

import struct
from collections import Counter

import pytest

from pipelines.ledger.entry import LedgerEntry
from pipelines.reconciling.reconciler import Reconciler
from pipelines.reconciling.result import Reconciliation
from tests.pipelines.publishing.conftest import WINDOW, World
from tests.pipelines.reconciling.conftest import ROWS, Delivery, Sent, many_rows, prepared, text, varint

AT = 61_803
KEY = b"k1803"  # the key of row 61,803; rows 1,803, 31,803 and 91,803 have it too


def others_of(delivery: Delivery) -> list[Sent]:
    """Records of another window with the same keys, and of producers that know nothing about the event."""
    hour_micros, day_micros = 3_600_000_000, 86_400_000_000
    later = []
    for n in range(0, 40_000, 7):
        happened = 1_356_998_400_000_000 + day_micros + n * hour_micros // 40_000
        body = text(b"k%d" % n) + varint(happened) + varint(n)
        later.append((b"k%d" % n, struct.pack(">bI", 0, delivery.entry.schema_id) + body))
    return [*later, (KEY, b"not avro"), (None, b"keyless"), (b"k5", None), (b"", b"")]


def figures(found: Reconciliation) -> tuple[int, int, int, int]:
    return found.found, found.missing, found.altered, found.duplicated


@pytest.fixture(scope="module")
def intact(delivery: Delivery) -> tuple[Delivery, LedgerEntry]:
    here = delivery.on_new_topic()
    return here, here.send(here.records)


def test_what_was_delivered_agrees(intact: tuple[Delivery, LedgerEntry]) -> None:
    here, entry = intact
    found = here.reconcile(entry)
    assert (found.verdict, found.expected, found.others) == ("agrees", ROWS, 0)
    assert figures(found) == (ROWS, 0, 0, 0)
    assert found.checksum_expected == found.checksum_found != "0" * 32
    assert found.bytes_read == sum(len(key or b"") + len(value or b"") for key, value in here.records)
    assert found.told == "all 100,000 records are on the topic, each once and unaltered"


def test_records_of_others_within_the_offsets_are_not_the_windows(delivery: Delivery) -> None:
    here = delivery.on_new_topic()
    strangers = [record for record in others_of(here) if record != (KEY, b"not avro")]
    aborted = here.records[:50]
    first = here.send(here.records[:30_000])
    here.send(strangers)
    here.send(aborted, commit=False)
    second = here.send(here.records[30_000:])
    spans = {p: (first.offsets[p][0], second.offsets[p][1]) for p in first.offsets}
    found = here.reconcile(second.advanced(offsets=spans))
    assert (found.verdict, figures(found)) == ("agrees", (ROWS, 0, 0, 0))
    assert found.others == len(strangers)
    assert found.checksum_expected == found.checksum_found


def with_others(delivery: Delivery, records: list[Sent]) -> Reconciliation:
    """Write `records` as if they were the window's, with records of others among them."""
    here = delivery.on_new_topic()
    strangers = [record for record in others_of(here) if record != (KEY, b"not avro")]
    middle = len(records) // 3
    return here.reconcile(here.send([*records[:middle], *strangers, *records[middle:]]))


def test_a_dropped_record_is_named(delivery: Delivery) -> None:
    records = delivery.records
    assert records[AT][0] == KEY
    found = with_others(delivery, records[:AT] + records[AT + 1 :])
    assert (found.verdict, figures(found)) == ("differs", (ROWS - 1, 1, 0, 0))
    assert [(e.kind, e.key, e.offset) for e in found.examples] == [("missing", KEY.decode(), None)]
    assert found.checksum_expected != found.checksum_found
    assert found.told == "of 100,000 records 1 missing: missing 'k1803'"


def test_a_doubled_record_is_named_with_the_place_of_the_copy(delivery: Delivery) -> None:
    records = delivery.records
    found = with_others(delivery, [*records, records[AT]])
    assert (found.verdict, figures(found)) == ("differs", (ROWS + 1, 0, 0, 1))
    (example,) = found.examples
    assert (example.kind, example.key) == ("duplicated", KEY.decode())
    assert (example.offset or 0) > 30_000, "the later of the two"
    assert f"duplicated 'k1803' at partition {example.kafka_partition} offset {example.offset}" in found.told


@pytest.mark.parametrize(
    "byte", [0, 4, 5, 8, -1], ids=["magic", "schema_id", "length", "key field", "amount"]
)
def test_one_altered_bit_of_a_value_is_named_with_its_place(delivery: Delivery, byte: int) -> None:
    records = list(delivery.records)
    key, value = records[AT]
    broken = bytearray(value or b"")
    broken[byte] ^= 4
    records[AT] = (key, bytes(broken))
    found = with_others(delivery, records)
    assert (found.verdict, figures(found)) == ("differs", (ROWS - 1, 0, 1, 0))
    (example,) = found.examples
    assert (example.kind, example.key) == ("altered", KEY.decode())
    assert example.offset is not None


def test_a_record_under_another_key_or_without_its_value_is_missing(delivery: Delivery) -> None:
    records = list(delivery.records)
    for wrong in ((KEY + b"x", records[AT][1]), (KEY, None)):
        records[AT] = wrong
        found = with_others(delivery, records)
        assert (found.verdict, figures(found)) == ("differs", (ROWS - 1, 1, 0, 0))
        assert [e.key for e in found.examples] == [KEY.decode()]


def test_values_that_changed_places_are_both_altered(delivery: Delivery) -> None:
    records = list(delivery.records)
    (key, value), (other_key, other_value) = records[AT], records[AT + 1]
    records[AT : AT + 2] = [(key, other_value), (other_key, value)]
    found = with_others(delivery, records)
    assert figures(found) == (ROWS - 2, 0, 2, 0)
    assert {e.key for e in found.examples} == {"k1803", "k1804"}


def test_many_differences_are_counted_in_full_and_named_in_part(delivery: Delivery) -> None:
    records = list(delivery.records)
    del records[50_000:50_400]
    records += records[:300]
    found = with_others(delivery, records)
    assert figures(found) == (ROWS - 400 + 300, 400, 0, 300)
    assert Counter(e.kind for e in found.examples) == {"missing": 5, "duplicated": 5}
    assert [e.key for e in found.examples[:5]] == [f"k{n % 30_000}" for n in range(50_000, 50_005)]


@pytest.mark.matrix
def test_one_dropped_one_doubled_and_one_altered_record_among_a_million_are_named(world: World) -> None:
    count, keys = 1_000_000, 300_000
    many_rows(world, count, keys)
    here = prepared(world, "auto").on_new_topic()
    dropped, doubled, altered = count // 3, count // 2, 2 * count // 3
    records = here.records
    key, value = records[altered]
    broken = bytearray(value or b"")
    broken[-1] ^= 4
    records[altered] = (key, bytes(broken))
    records.append(records[doubled])
    del records[dropped]
    found = here.reconcile(here.send(records))
    assert (found.verdict, found.expected, found.others) == ("differs", count, 0)
    assert figures(found) == (count - 1, 1, 1, 1)
    assert [(e.kind, e.key) for e in found.examples] == [
        ("missing", f"k{dropped % keys}"),
        ("altered", f"k{altered % keys}"),
        ("duplicated", f"k{doubled % keys}"),
    ]


def test_of_equal_rows_each_needs_its_own_record(small: Delivery) -> None:
    world = small.world
    world.rows([("same", 5, 1)] * 3 + [("other", 5, 1)])
    three = prepared(world).on_new_topic()
    assert len(three.records) == 4
    assert three.reconcile(three.send(three.records)).verdict == "agrees"
    less = [record for record in three.records if record[0] != b"same"] + [
        record for record in three.records if record[0] == b"same"
    ][:2]
    found = three.on_new_topic()
    result = found.reconcile(found.send(less))
    assert (result.verdict, figures(result)) == ("differs", (3, 1, 0, 0))


def test_one_consumer_serves_many_windows(intact: tuple[Delivery, LedgerEntry]) -> None:
    here, entry = intact
    with Reconciler(here.world.event, here.world.platform()) as reconciler:
        verdicts = [reconciler.reconcile(WINDOW, entry=entry).verdict for _ in range(3)]
        assert reconciler.reconcile("2013-01-05").verdict == "unpublished"
    assert verdicts == ["agrees"] * 3

"""What an ordinary consumer has read from the shop's topics:
every record, counted by its key, its content and its id."""

from collections import Counter
from dataclasses import dataclass, field

from tests.acceptance.outsiders import Outsider
from tests.acceptance.upgrade.shop import KINDS, Kind, Row, Shop

Content = Row | str
"""The content of a record: the row of an event, or the key of a tombstone."""


@dataclass
class Count:
    """Reads all topics from their beginning each time, and compares them with what is expected until then."""

    shop: Shop
    outsider: Outsider
    expected: dict[str, Counter[Content]] = field(default_factory=dict)
    ids: dict[str, dict[str, Row]] = field(default_factory=dict)

    def expect(self, kind: Kind, *records: Content) -> None:
        """From now on, expect these additional records on the event's topic."""
        self.expected.setdefault(kind.name, Counter()).update(records)

    def check(self, when: str) -> None:
        """Assert that each topic has the expected records, each as often as expected, and nothing else; and
        that a content has one id, which no other content has."""
        for kind in KINDS:
            found: Counter[Content] = Counter()
            for record in self.outsider.read(self.shop.topic(kind), {}):
                key = (record.key or b"").decode()
                if record.value is None:
                    found[key] += 1
                    continue
                row = Row(record.value[kind.key], record.value[kind.time], record.value[kind.value])
                assert key == row.key, when
                assert self.ids.setdefault(kind.name, {}).setdefault(record.value["event_id"], row) == row, (
                    when
                )
                found[row] += 1
            wanted = self.expected.get(kind.name, Counter())
            assert found == wanted, (
                f"{when}: {kind.name}: {found - wanted} too much, {wanted - found} missing"
            )
            contents = Counter(self.ids.get(kind.name, {}).values())
            assert set(contents.values()) <= {1}, f"{when}: {kind.name}: one content under two ids"

"""The records of a window as sums. Equal sums on both sides mean: every expected record is there, and no
other.

No record is kept, so neither memory nor disk grows with the window. If the sums differ, they do not say which
record differs; then the records of both sides are compared on disk (`comparison`).
"""

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field

from pipelines.reconciling.expected import Records
from pipelines.reconciling.log import Committed
from pipelines.reconciling.records.content import Checksum, content_hashes, with_numbers
from pipelines.reconciling.records.stamps import numbers_of_stamps
from resources.process.memory import GivingBack
from resources.threads.read_ahead import ahead

# Batches of expected records that a thread makes ahead while the log is read.
_AHEAD = 2


@dataclass
class Sums:
    """Sums over some records, in any order: one of their contents, and one of their contents with timestamps
    if timestamps are compared."""

    contents: Checksum = field(default_factory=Checksum)
    stamped: Checksum = field(default_factory=Checksum)

    def add(self, records: Records | Committed) -> None:
        """Add these records."""
        hashes = content_hashes(records.keys, records.values)
        self.contents.add(hashes)
        if records.stamps is not None:
            self.stamped.add(with_numbers(hashes, numbers_of_stamps(records)))


def checksum_of_both(
    expected: Callable[[], Generator[Records, None, None]],
    found: Generator[Committed, None, None],
    *,
    in_thread: bool,
) -> Checksum | None:
    """The checksum of both sides; None if they differ. With `in_thread`, a thread makes `expected` while the
    log is read, which is faster for a window of many records."""
    wanted, there, memory = Sums(), Sums(), GivingBack()
    made = ahead(expected, most=_AHEAD) if in_thread else expected()
    with closing(made) as making, closing(found) as log:
        for records in log:
            there.add(records)
            memory.passed(len(records))
            # Both sides advance by the same number of records, so that neither side waits for the other.
            while wanted.contents.records < there.contents.records:
                more = next(making, None)
                if more is None:
                    return None
                wanted.add(more)
        for rest in making:
            wanted.add(rest)
    return wanted.contents if wanted == there else None

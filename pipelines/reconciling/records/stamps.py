"""Compares record timestamps that should be event times, record by record.

An event time is part of the value, so records with the same content have the same timestamp. A tombstone has
no event time: its timestamp is not compared.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from resources.wording import counted

# No record has this timestamp.
_NOT_COMPARED = -(2**63)


class Stamped(Protocol):
    """Records, row for row. `stamps`: int64, the timestamps in milliseconds, null if the brokers wrote their
    own."""

    @property
    def values(self) -> pa.Array: ...

    @property
    def stamps(self) -> pa.Array | None: ...


@dataclass(frozen=True)
class Stamps:
    """The timestamps of one generation. `events`: how many of its records were found. `other`: how many of
    them have a timestamp that is not their event time. `brokers`: how many have a timestamp that the brokers
    wrote. `promised`: the ledger says that the generation was published with its event times as record
    timestamps."""

    generation: int
    events: int
    other: int
    brokers: int
    promised: bool = False

    @property
    def altered(self) -> int:
        """How many records should have their event time as timestamp and do not. 0 if the ledger does not say
        what was promised and no record of the generation has it: another record_timestamp was declared when
        the generation was published."""
        return 0 if not self.promised and self.other + self.brokers == self.events else self.other

    def told(self) -> str | None:
        """What a reader must know; None if there is nothing to say."""
        if not self.other and not self.brokers:
            return None
        where = f"generation {self.generation}"
        if self.brokers == self.events:
            return f"{where}: the brokers wrote the record timestamps (message.timestamp.type=LogAppendTime)"
        if not self.altered:
            return (
                f"{where}: no record timestamp is the event time; the generation was published before "
                'record_timestamp="event_time" was declared (its ledger entry does not say)'
            )
        return f"{where}: {counted(self.other, 'record has', 'records have')} another timestamp than {'its' if self.other == 1 else 'their'} event time"


def numbers_of_stamps(records: Stamped) -> npt.NDArray[np.int64]:
    """The timestamps of `records`.
    Tombstones and records with a timestamp of the brokers all get the same number."""
    own = pc.if_else(records.values.is_valid(), records.stamps, pa.scalar(None, pa.int64()))
    numbers: npt.NDArray[np.int64] = own.fill_null(_NOT_COMPARED).to_numpy(zero_copy_only=False)
    return numbers

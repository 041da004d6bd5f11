"""The result of a reconciliation, in counts and in one sentence."""

from dataclasses import dataclass
from typing import Literal

from resources.wording import counted

Verdict = Literal["agrees", "reduced", "differs", "unpublished"]
Kind = Literal["missing", "altered", "duplicated"]


@dataclass(frozen=True)
class Example:
    """One record that is not as it should be.
    `offset`: the place of the altered record or the surplus copy."""

    kind: Kind
    key: str
    kafka_partition: int | None
    offset: int | None

    def __str__(self) -> str:
        place = "" if self.offset is None else f" at partition {self.kafka_partition} offset {self.offset}"
        return f"{self.kind} {self.key!r}{place}"


@dataclass(frozen=True)
class Reconciliation:
    """Generations of one window, by its ledger entry and snapshots, compared with the topic.

    `generation`: the newest; `generations`: how many were compared, up to it. `expected`: records that should
    be there; `found`: committed records with the content of one of them. Of the expected records, `missing`
    have no such record, `altered` have another content under the same key, and `deleted_by_policy` and
    `compacted` were removed by the topic's own rules. `duplicated`: copies beyond the expected ones.
    `others`: records of other windows and producers in the same offsets. `verdict` is `reduced` if the
    topic's rules removed records and everything else agrees. Checksums: sums of content hashes, hex, over
    `expected` and `found`. `bytes_read`: keys and values that were read. `judged`: stored rows that `verify`
    compared with their source in an independent reading; `not_judged` says why it could not. `wrong`: the
    first wrong value that this reading, or that of the records, found; then nothing else was compared.
    `no_rows`: the query gave no rows for the window, so no record is expected.
    """

    event: str
    window: str
    verdict: Verdict
    generation: int = 0
    generations: int = 1
    complete: bool = True
    expected: int = 0
    found: int = 0
    missing: int = 0
    altered: int = 0
    duplicated: int = 0
    deleted_by_policy: int = 0
    compacted: int = 0
    others: int = 0
    examples: tuple[Example, ...] = ()
    notes: tuple[str, ...] = ()
    checksum_expected: str = ""
    checksum_found: str = ""
    bytes_read: int = 0
    seconds: float = 0.0
    judged: int = 0
    not_judged: str | None = None
    wrong: str | None = None
    no_rows: bool = False

    @property
    def ok(self) -> bool:
        """True unless a record was lost, duplicated or altered, or was made with a wrong value."""
        return self.verdict != "differs"

    @property
    def told(self) -> str:
        """One sentence for a log."""
        if self.verdict == "unpublished":
            return "nothing is published"
        if self.wrong is not None:
            return self.wrong
        if self.verdict == "agrees" and not self.expected:
            why = "the window has no rows" if self.no_rows else "no record of the window was to be published"
            return f"{why}, and none is on the topic"
        if self.verdict == "agrees":
            of = f" of {counted(self.generations, 'generation')}" if self.generations > 1 else ""
            if self.expected == 1:
                return f"the 1 record{of} is on the topic, once and unaltered"
            return f"all {self.expected:,} records{of} are on the topic, each once and unaltered"
        gone = [
            f"{count:,} {how}"
            for count, how in (
                (self.deleted_by_policy, "deleted by the topic's retention"),
                (self.compacted, "removed by compaction"),
            )
            if count
        ]
        if self.verdict == "reduced":
            return f"{self.found:,} of {counted(self.expected, 'record is', 'records are')} on the topic, unaltered; {', '.join(gone)}"
        wrong = [
            f"{count:,} {kind}"
            for kind, count in (
                ("missing", self.missing),
                ("altered", self.altered),
                ("duplicated", self.duplicated),
            )
            if count
        ]
        named = "; ".join([*map(str, self.examples), *self.notes])
        return f"of {counted(self.expected, 'record')} {', '.join([*wrong, *gone])}: {named}"

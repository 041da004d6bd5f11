"""What a contender is: a module with `run(job, clock) -> rows`, and this description of it."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["hand-written", "peer", "stage", "sluice", "limit"]


@dataclass(frozen=True)
class Contender:
    """One line of the table.

    `name`: what `--only` takes. `module`: below `contenders/`; its `run(job, clock)` does the work within
    `clock.running()` and returns the number of records. If it has `prepare(job)`, that runs first, in another
    process, so that neither its time nor its memory counts. `max_rows`: slow contenders take fewer rows,
    because only the rate is compared.
    `guarantees`: what it guarantees for its records, compared with Sluice. `writes`: whether records reach
    the topic.
    `peers`: runs in the environment that holds the peers' packages. `own_schema`: it makes and registers its
    own schema, so its records are not read with the contract.
    """

    name: str
    title: str
    module: str
    kind: Kind
    guarantees: str
    variant: str = ""
    max_rows: int | None = None
    writes: bool = True
    prepares: bool = False
    peers: bool = False
    own_schema: bool = False
    needs: tuple[str, ...] = ()

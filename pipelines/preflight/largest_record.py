"""How large records get, as far as a look at some rows shows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LargestRecord:
    """Key and value of the largest record of a few real rows: its bytes, and as the brokers would store it alone."""

    window: str
    bytes: int
    compressed_bytes: int

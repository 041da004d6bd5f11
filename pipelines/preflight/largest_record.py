"""How large records get, as far as a sample of rows shows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LargestRecord:
    """The largest record of a few real rows: the bytes of its key and value,
    and its bytes as the brokers would store it alone."""

    window: str
    bytes: int
    compressed_bytes: int

"""Records with another schema id than the ledger's count as the same records if the
id names the same contract."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.contract import Contract, ContractError, parse_contract
from pipelines.encoding.columns.assembly import byte_view
from pipelines.encoding.frame import HEADER_BYTES, frame_header
from resources.errors import SluiceError, TransientError
from resources.platform import Platform


class OneSchemaId:
    """Puts `schema_id` into values that are framed with another id of the same contract.

    The doc of a contract may change, or the registry may be set up anew, while a window is half published.
    Its records then have two ids for one contract. Each id is looked up in the registry once.
    """

    def __init__(self, platform: Platform, contract: Contract, schema_id: int) -> None:
        self._platform, self._contract = platform, contract
        self._header = frame_header(schema_id)
        self._same: dict[bytes, bool] = {self._header: True}

    def apply(self, values: pa.Array) -> pa.Array:
        """`values` (large_binary, null for tombstones) with the one id."""
        starts, data = byte_view(values)
        framed = np.flatnonzero(np.diff(starts) >= HEADER_BYTES)
        heads = data[starts[framed][:, None] + np.arange(HEADER_BYTES)]
        other = framed[(heads != np.frombuffer(self._header, np.uint8)).any(axis=1)]
        if not len(other):
            return values
        replaced = values.to_pylist()
        for row in other.tolist():
            if self._is_same(replaced[row][:HEADER_BYTES]):
                replaced[row] = self._header + replaced[row][HEADER_BYTES:]
        return pa.array(replaced, pa.large_binary())

    def _is_same(self, header: bytes) -> bool:
        if header not in self._same:
            self._same[header] = header[0] == 0 and self._names_the_contract(
                int.from_bytes(header[1:], "big")
            )
        return self._same[header]

    def _names_the_contract(self, schema_id: int) -> bool:
        try:
            text = self._platform.registry.by_id(schema_id)
            return (
                parse_contract(text, Path(f"schema id {schema_id}")).fingerprint == self._contract.fingerprint
            )
        except TransientError:
            raise
        except (ContractError, SluiceError):
            return False

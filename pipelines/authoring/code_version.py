"""One short text that changes exactly if an event's rows could come out differently."""

import hashlib


def code_version(
    *, normalised_sql: str, code: str, contract_fingerprint: str, fields: tuple[object, ...]
) -> str:
    """16 hex digits over the SQL, the transform's code, the contract's shape and the declared fields.

    A hash of texts that Sluice itself normalises: the same on every machine with the same Python release.
    """
    parts = ("1", normalised_sql, code, contract_fingerprint, repr(fields))
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "big"))  # the length: moved text changes the hash
        digest.update(encoded)
    return digest.hexdigest()[:16]

"""The errors of turning rows into bytes."""

from resources.errors import SluiceError


class EncodingError(SluiceError):
    """Rows that do not match their contract reached the encoder, or the contract
    cannot be encoded as requested.

    Rows are conformed before they are encoded. So this is a fault of the platform, and never of one row: it
    stops the window and is not retried.
    """


class FrameError(SluiceError):
    """A message value is not in the Confluent wire format, or is not a record of the schema that it names."""

"""What can go wrong while rows become bytes."""

from resources.errors import SluiceError


class EncodingError(SluiceError):
    """Rows that do not match their contract reached the encoder, or a contract cannot be encoded as asked.

    Rows are conformed before they are encoded, so this is a fault of the platform, never of one row:
    it stops the window and is not retried.
    """


class FrameError(SluiceError):
    """A message value is not in the Confluent wire format, or not a record of the schema it names."""

"""The error for a setting."""

from resources.errors import SluiceError


class SettingsError(SluiceError):
    """A setting that is missing, unknown or out of range."""

"""The asset checks of an event."""

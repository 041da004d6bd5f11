"""What an event promises or requires: its topic's settings, its consumers, its promise and its tags.

None of this changes a row, so none of it is part of an event's code version.
"""

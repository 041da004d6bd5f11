"""What an event agrees with others about: its topic's settings, its consumers, its promise and its tags.

None of it changes a row, so none of it is part of an event's code version.
"""

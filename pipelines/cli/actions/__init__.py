"""What each command does; `actions/X.py` is the work of `commands/X.py`."""

"""What must not be shown, and who may read the files that a process writes."""

"""What must not be shown, and who may read what a process writes."""

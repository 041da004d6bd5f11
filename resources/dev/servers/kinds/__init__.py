"""The servers themselves: real ones by Maven, embedded ones by wheel."""

"""From the files of an `assets/` tree to events, or to everything that keeps them from being some."""

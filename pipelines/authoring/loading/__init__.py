"""From the files of an `assets/` tree to events, or to every mistake that prevents them."""

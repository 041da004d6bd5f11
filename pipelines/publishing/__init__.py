"""Publishing exactly once: what to do with a window, which records that is, and how they are sent."""

"""What a launch does to a window: publish, replay or redrive."""

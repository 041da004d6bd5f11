"""The servers themselves: real ones, which Maven fetches, and embedded ones from wheels."""

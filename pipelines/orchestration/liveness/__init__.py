"""Runs that live and runs that died: heartbeats, and what is done with a run without one."""

"""Runs that live and runs that died: heartbeats, and what is done about a run without one."""

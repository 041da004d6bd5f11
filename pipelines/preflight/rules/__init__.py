"""The rules of the preflight. Each reads facts that were gathered before."""

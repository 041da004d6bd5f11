"""The rules of the preflight, each over facts that were gathered before."""

"""How an event is declared, found and checked. Needs no network and no Dagster; an import does no work."""

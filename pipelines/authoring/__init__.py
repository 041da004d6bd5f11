"""How an event is declared, found and checked: no network, no Dagster, and no work until a catalogue is loaded."""

"""Converts values to the contract's types, exactly or not at all."""

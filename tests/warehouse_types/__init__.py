"""Every type of both warehouses on its way from the warehouse to a decoded event."""

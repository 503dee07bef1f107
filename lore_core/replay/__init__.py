"""A log of requests asked again of two routers or compositions, and what differs: `lore route replay`."""

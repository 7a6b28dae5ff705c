"""Every request is checked against the service models that AWS publishes."""

"""Stripe's events: committed first, answered, then worked off."""

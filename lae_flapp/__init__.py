"""The signup daemon."""

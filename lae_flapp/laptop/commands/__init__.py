"""The groups of ``lae`` that speak to the daemon."""

"""The groups of ``lae`` that speak to the daemon, or work on its machine."""

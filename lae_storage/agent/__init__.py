"""The agent: gets the host its identity, keeps it, and says how the host is."""

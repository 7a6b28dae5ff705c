"""How a process of ours speaks to AWS: credentials, signatures, one agent."""

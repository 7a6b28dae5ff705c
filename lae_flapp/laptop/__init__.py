"""What an operator's laptop has of ``lae``: it knows the protocol alone."""

"""How a subscription goes on, fails, ends, and comes back."""

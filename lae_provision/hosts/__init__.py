"""What a customer's host is told at its first boot."""

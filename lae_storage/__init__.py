"""What runs on a customer's host."""

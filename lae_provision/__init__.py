"""What the signup routine builds with."""

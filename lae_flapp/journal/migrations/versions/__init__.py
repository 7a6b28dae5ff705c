"""The migrations, in order; one that was released never changes."""

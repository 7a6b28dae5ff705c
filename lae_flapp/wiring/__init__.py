"""The daemon, put together: the doors, what is inside, and in which order it starts."""

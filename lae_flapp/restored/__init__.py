"""After a backup was restored: what it does not know is found, and adopted or shown."""

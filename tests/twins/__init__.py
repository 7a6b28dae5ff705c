"""In-memory twins of the doors, and doubles for what goes wrong at them."""

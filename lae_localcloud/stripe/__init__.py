"""A Stripe on one machine: the part of its API that S4 uses, with hosted pages."""

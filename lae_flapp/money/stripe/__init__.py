"""Stripe, as the routine sees it: every call to its API is the daemon's, from here."""

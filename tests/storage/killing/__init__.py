"""The storage node killed at random moments under load, and what it then still has."""

"""A mail server: STARTTLS and AUTH required, delivery into a Maildir."""

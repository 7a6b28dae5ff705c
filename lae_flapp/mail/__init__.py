"""Letters to customers and operators: their words, and the way to the mail server."""

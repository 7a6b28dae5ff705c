"""Sessions are opened and settled, Stripe is asked and heard, money goes back."""

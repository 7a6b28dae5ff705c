"""What a deployment needs of its account at Stripe: decided, made, checked."""

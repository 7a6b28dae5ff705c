"""What the daemon asks of the outside: one way to do it, and the door to the payment
service, which the routine, the money and a subscription's life share.
"""

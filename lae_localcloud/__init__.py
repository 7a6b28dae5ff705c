"""A cloud on one machine, for people who try S4 and for its tests.

Stands in for what companies sell: AWS (moto behind a front of ours), S3 (SeaweedFS
behind a front of ours), instances (process groups), a mail server, Stripe.  Everything
listens on loopback alone and forgets all at stop.  Production code never imports it.
"""

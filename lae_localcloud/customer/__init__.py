"""A customer, played: a browser without JavaScript, a mailbox, a laptop with tahoe.

It knows S4 only from outside: pages, mails and the protocols that clients speak.
Everything blocks, so it runs in a process or a thread of its own.
"""

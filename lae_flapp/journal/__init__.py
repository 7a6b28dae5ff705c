"""The journal: the daemon's one durable record.  All SQL of S4 stands here.

How to use it::

    journal = Journal(path, home, reactor, JournalThreads(reactor))
    await journal.open()                      # lock, upgrade, epoch
    record = await journal.read(signups.find, signup_id)
    await journal.write(pay, signup_id)       # def pay(tx: WriteTx, signup_id): ...
    number = await journal.watch(signup_id, since=7, public=True)
    await journal.close()

``read`` and ``write`` run a plain function in one transaction, off the reactor's
thread; the function takes the transaction first and may call any of the functions
below, so that what belongs together is committed together.  Functions that change
something take a ``WriteTx``, so mypy refuses them in ``read``.  Rows come out as
frozen classes with parsed types.  ``testing.open_journal`` gives a journal that
answers at once, for tests without a reactor.

The engine: ``journal`` (open, read, write, watch), ``transaction``, ``threads``,
``opening`` (file, backup, upgrade), ``lock`` and ``epoch`` (one daemon writes),
``columns`` (purpose and retention of every column), ``errors`` (all of them),
``migrations``, ``schema`` (all tables), ``revision`` (writes a new migration).

The nouns, one module each, table and functions together: ``meta``, ``cells``,
``signups`` (state, agreement), ``listing`` (what operators search), ``contacts`` (all
personal data), ``sessions`` (Checkout), ``identities`` (sealed), ``hosts`` (and their
furls), ``ports``, ``capacity``, ``effects`` (request before, outcome after), ``events``
(append only), ``inbox`` (from Stripe), ``outbox`` (mails), ``operators``, ``switches``,
``causes`` (of trouble, and who was told), ``figures`` (counts of everything),
``retention`` (what goes, and when).
"""

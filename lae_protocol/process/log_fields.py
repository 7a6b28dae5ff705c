"""The fields that log events have, one meaning each: ``docs/logs.rst`` shows them.

An event is declared where it is logged: its text, and after it its fields.  A test
reads all of them and refuses a field that is not here.
"""

from __future__ import annotations

from collections.abc import Mapping

FIELDS: Mapping[str, str] = {
    "action": "what the routine was about to do",
    "charge": "Stripe's id of a charge",
    "code": "the code of a refusal, for programs",
    "count": "how many",
    "deployment": "whose daemon it is",
    "epoch": "which daemon on this journal, counted from the first",
    "event": "Stripe's id of an event",
    "facet": "who asks over furls of one kind: hosts, sites, operators",
    "furl": "a furl without its secret, or what it names and the beginning of its hash",
    "generation": "which of a signup's hosts, counted from the first",
    "host": "a host name or address that was spoken with or listened at",
    "ids": "instances, as the cloud names them",
    "instance": "an instance, as the cloud names it",
    "key": "whose host it is: deployment, signup, generation",
    "kind": "of an exception, or of a cause of trouble",
    "last": "when a daemon last wrote to the journal",
    "life": "one run of Litestream, as the backup bucket names it",
    "method": "of HTTP",
    "name": "a part of the process",
    "number": "a row of the journal: a mail, an event",
    "path": "a file, or the path of a request without its query",
    "port": "a TCP port",
    "problem": "what is wrong, in a sentence",
    "question": "what was asked of a facet: a class of the messages",
    "queue": "inbox, outbox or notices",
    "refund": "Stripe's id of a refund",
    "request_id": "of one call between site, operator or host and the daemon",
    "said": "what the other side answered",
    "seconds": "how long it took or lasted",
    "signup_id": "whose signup",
    "status": "of HTTP",
    "subscription": "Stripe's id of a subscription",
    "turn": "what the time brings a signup next",
    "what": "what was refused: a request by its method and path, or a connection",
    "why": "the reason, in a sentence",
}

"""The remote interfaces: every argument has a size.

Without constraints a 50 MB argument is swallowed whole by the receiving process
(facts of Foolscap 24.9).  Each method takes the version of the messages, the id of
the request and one message as bytes (:mod:`lae_protocol.wire`), and answers bytes.
"""

from __future__ import annotations

from typing import Any

from foolscap.api import RemoteInterface
from foolscap.schema import ByteStringConstraint, IntegerConstraint

KB = 1024

_VERSION = IntegerConstraint()
_REQUEST_ID = ByteStringConstraint(maxLength=64)


def _takes(largest: int, answer: int = 64 * KB) -> Any:
    """A method of (version, request id, message of at most *largest* bytes)."""
    sized = ByteStringConstraint(maxLength=largest)

    def method(
        version: Any = _VERSION,  # noqa: ARG001  (foolscap reads the signature)
        request_id: Any = _REQUEST_ID,  # noqa: ARG001
        message: Any = sized,  # noqa: ARG001
    ) -> Any:
        return ByteStringConstraint(maxLength=answer)

    return method


class RIFrontDesk(RemoteInterface):
    """What a web site may ask.  Its holder can do no more than a visitor."""

    __remote_name__ = "RIFrontDesk.s4"

    doors = _takes(1 * KB)
    pulse = _takes(1 * KB)
    register = _takes(8 * KB)
    # A body of 512 KB, which base64 in the message makes a third longer.
    take_stripe_event = _takes(2 * KB)
    returned_from_checkout = _takes(1 * KB)
    pay_again = _takes(1 * KB)
    watch = _takes(1 * KB)
    resend_mail = _takes(1 * KB)
    correct_address = _takes(2 * KB)
    cancel = _takes(1 * KB)
    stay = _takes(1 * KB)
    cancel_by_link = _takes(2 * KB)
    return_by_link = _takes(2 * KB)


class RIOperator(RemoteInterface):
    """What one named operator may ask."""

    __remote_name__ = "RIOperator.s4"

    list_signups = _takes(2 * KB, 1024 * KB)
    show_signup = _takes(1 * KB, 1024 * KB)
    retry_signup = _takes(1 * KB)
    resend_mail = _takes(2 * KB)
    cancel_signup = _takes(8 * KB)
    reactivate_signup = _takes(8 * KB)
    delete_data = _takes(8 * KB)
    plans = _takes(1 * KB)
    give_free = _takes(8 * KB)
    events = _takes(1 * KB, 1024 * KB)
    health = _takes(1 * KB)
    list_hosts = _takes(1 * KB, 4096 * KB)
    console = _takes(1 * KB, 256 * KB)
    list_effects = _takes(1 * KB, 1024 * KB)
    show_effect = _takes(1 * KB, 256 * KB)
    list_inbox = _takes(1 * KB, 1024 * KB)
    show_inbox = _takes(1 * KB)
    retry_inbox = _takes(1 * KB)
    list_outbox = _takes(1 * KB, 1024 * KB)
    show_outbox = _takes(1 * KB)
    retry_outbox = _takes(1 * KB)
    switches = _takes(1 * KB)
    pause = _takes(8 * KB)
    resume = _takes(1 * KB)
    list_operators = _takes(1 * KB)
    add_operator = _takes(1 * KB)
    revoke_operator = _takes(1 * KB)
    back_up = _takes(1 * KB)
    reseal = _takes(1 * KB)


class RIBootstrap(RemoteInterface):
    """What a freshly launched host may ask, once: its identity."""

    __remote_name__ = "RIBootstrap.s4"

    claim = _takes(32 * KB)


class RIHost(RemoteInterface):
    """What a claimed host may say, of itself alone."""

    __remote_name__ = "RIHost.s4"

    report = _takes(8 * KB)

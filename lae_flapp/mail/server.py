"""The door to the mail server."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Protocol

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTCP, IReactorTime
from twisted.mail.smtp import ESMTPSenderFactory, SMTPClientError

from lae_flapp.mail.message import Envelope
from lae_protocol.aws.tls import NamedPeerPolicy
from lae_protocol.process.deadline import with_deadline
from lae_protocol.secret import Secret


class MailError(Exception):
    """The base; its text has the server's code, never its words (they may quote the
    address) nor ours.
    """


class MailLater(MailError):
    """Not accepted now: unreachable, or a 4xx answer.  Send the same message later.

    After a lost connection it may have been accepted; the Message-ID is the same, so
    that a second copy is known as one.
    """


class MailRefused(MailError):
    """The server will not take this mail (5xx).  *about_recipient*: because of the
    address, which is then bouncing.
    """

    def __init__(self, text: str, *, about_recipient: bool) -> None:
        super().__init__(text)
        self.about_recipient = about_recipient


class IMailServer(Protocol):
    """Takes a rendered mail, or says why not."""

    async def deliver(self, envelope: Envelope) -> None:
        """Return once the server has said 250 to the whole message.

        Tries once; the outbox tries again.  Raises MailLater or MailRefused.
        """


@define(frozen=True)
class Login:
    """Who we are to the mail server."""

    user: str
    password: Secret


#: SMTP codes of RFC 5321 that are about the recipient's mailbox.
_RECIPIENT = frozenset({550, 551, 553})
_PERMANENT = range(500, 600)


def sort_failure(error: Exception) -> MailError:
    """Tell what a failed delivery means; pure."""
    code = error.code if isinstance(error, SMTPClientError) else None
    if code in _PERMANENT:
        about = code in _RECIPIENT and _was_recipient(error)
        return MailRefused(f"refused with {code}", about_recipient=about)
    if code is not None and code > 0:
        return MailLater(f"put off with {code}")
    return MailLater(f"not delivered: {type(error).__name__}")


def _was_recipient(error: Exception) -> bool:
    """Whether it was RCPT that was refused: a 550 may be of our own name, too."""
    # (address, code, words) of each RCPT; None before there was one.
    answers: Any = getattr(error, "addresses", None)
    return any(code in _RECIPIENT for _, code, _ in answers or ())


class SmtpServer(IMailServer):
    """A real mail server: STARTTLS with a checked certificate, then AUTH, or nothing.

    *reactor* is IReactorTCP and IReactorTime; *seconds* bounds a whole delivery.
    """

    def __init__(  # noqa: PLR0917  (where, who, whom to believe, how long)
        self,
        reactor: Any,
        host: str,
        port: int,
        login: Login | None,
        policy: NamedPeerPolicy,
        seconds: float = 60.0,
    ) -> None:
        self._tcp: IReactorTCP = reactor
        self._clock: IReactorTime = reactor
        self._host, self._port, self._login = host, port, login
        self._policy, self._seconds = policy, seconds

    async def deliver(self, envelope: Envelope) -> None:
        """Deliver once; see :meth:`IMailServer.deliver`."""
        accepted: Deferred[Any] = Deferred()
        factory = ESMTPSenderFactory(  # type: ignore[no-untyped-call]
            self._login.user.encode() if self._login else None,
            self._login.password.reveal().encode() if self._login else None,
            envelope.sender,
            envelope.recipient,
            # Twisted makes each LF a CRLF itself.
            BytesIO(envelope.message.replace(b"\r\n", b"\n")),
            accepted,
            retries=0,
            contextFactory=self._policy.creatorForNetloc(
                self._host.encode("ascii"), self._port
            ),
            requireAuthentication=self._login is not None,
            requireTransportSecurity=True,
        )
        factory.noisy = False
        # Not an endpoint: those do not tell the factory of a connection that is lost
        # (a refused certificate), and the mail would wait for the deadline.
        connector = self._tcp.connectTCP(self._host, self._port, factory, timeout=15)
        try:
            await with_deadline(self._clock, self._seconds, "mail server", accepted)
        except Exception as e:  # noqa: BLE001  (twisted.mail raises many kinds)
            # Over for us: the factory need not report the connection that we end.
            factory.sendFinished = True
            connector.disconnect()
            raise sort_failure(e) from None

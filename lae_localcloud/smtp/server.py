"""The mail server: aiosmtpd in a thread of its own, and a control endpoint beside it.

STARTTLS and AUTH are required, as at any provider.  Faults are those of service
``smtp`` and of the command: ``CONNECT``, ``MAIL``, ``RCPT``, ``DATA``.  A fault's
*status* is SMTP's own (451, 550…); ``lost-reply`` to DATA takes the message and cuts
the connection before it says so.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from attrs import asdict, define
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.web.resource import Resource

from lae_localcloud.certificates import Certificates, make_certificates
from lae_localcloud.control import Control
from lae_localcloud.faults import Fault, FaultBook
from lae_localcloud.front.slowness import Slowness
from lae_localcloud.listening import Listening, listen
from lae_localcloud.smtp.loop import EventLoop
from lae_localcloud.smtp.maildir import Maildir
from lae_localcloud.state_folder import write_private

_USER = "s4"


@define(frozen=True)
class MailOptions:
    """*state_dir* must be fresh; *port* 0 is a free one."""

    state_dir: Path
    port: int = 0
    smtputf8: bool = False
    maildir: Path | None = None


@define(frozen=True)
class MailFacts:
    """Where it is; written to ``STATE/smtp.json``.  The password is in a file."""

    host: str
    port: int
    user: str
    password_file: str
    ca_file: str
    maildir: str
    control_url: str


class _Session(SMTP):
    """One connection; a fault can end it before its first word."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        fault = self.event_handler.fault("CONNECT", "")
        if fault is not None and fault.kind == "lost-call":
            transport.abort()


class _Delivery:
    """aiosmtpd's hooks, by the names it gives them."""

    _log = Logger()

    def __init__(self, maildir: Maildir, faults: FaultBook) -> None:
        self._maildir, self._faults = maildir, faults

    def fault(self, command: str, subject: str) -> Fault | None:
        """What shall go wrong now."""
        struck = self._faults.take("smtp", command, subject)
        return None if struck is None else struck.fault

    async def _before(self, fault: Fault | None, server: Any) -> str | None:
        if fault is None:
            return None
        match fault.kind:
            case "error-before":
                return f"{fault.status} a fault asked for"
            case "throttle":
                return "421 4.7.0 too many messages"
            case "delay":
                await asyncio.sleep(fault.seconds)
            case "lost-call":
                server.transport.abort()
                return "421 gone"
        return None

    async def handle_MAIL(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        """MAIL FROM."""
        del session
        refusal = await self._before(self.fault("MAIL", address), server)
        if refusal is not None:
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        """RCPT TO."""
        del session
        refusal = await self._before(self.fault("RCPT", address), server)
        if refusal is not None:
            return refusal
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """The message."""
        del session
        recipients: list[str] = envelope.rcpt_tos
        fault = self.fault("DATA", " ".join(recipients))
        refusal = await self._before(fault, server)
        if refusal is not None:
            return refusal
        content: bytes = envelope.original_content
        self._maildir.deliver(envelope.mail_from or "", recipients, content)
        self._log.info("took a message for {count}", count=len(recipients))
        return await self._after(fault, server)

    async def _after(self, fault: Fault | None, server: Any) -> str:
        match fault.kind if fault else None:
            case "lost-reply":
                server.transport.abort()
            case "delay-after":
                await asyncio.sleep(fault.seconds if fault else 0)
            case "error-after":
                return f"{fault.status if fault else 451} a fault asked for"
        return "250 OK"


class MailServer:
    """Started and stopped from the reactor."""

    def __init__(self, reactor: Any, options: MailOptions) -> None:
        self._reactor, self._options = reactor, options
        self.faults = FaultBook()
        self._password = secrets.token_urlsafe(18)
        self._loop: EventLoop | None = None
        self._control: Listening | None = None

    async def start(self) -> MailFacts:
        """Make the certificates and the Maildir, and listen."""
        folder = self._options.state_dir / "smtp"
        folder.mkdir(mode=0o700)
        certificates = make_certificates(folder)
        maildir = Maildir(self._options.maildir or self._options.state_dir / "mail")
        maildir.make()
        write_private(folder / "password", self._password + "\n")
        self._loop = EventLoop(self._factory(certificates, maildir))
        port = await deferToThread(self._loop.start, self._options.port)
        self._control = listen(self._reactor, ControlSite(self.faults), 0)
        facts = MailFacts(
            host="localhost",
            port=port,
            user=_USER,
            password_file=str(folder / "password"),
            ca_file=str(certificates.authority),
            maildir=str(maildir.folder),
            control_url=f"{self._control.url}/_control/",
        )
        text = json.dumps(asdict(facts), indent=1)
        write_private(self._options.state_dir / "smtp.json", text)
        return facts

    async def stop(self) -> None:
        """Take no more mail."""
        if self._control is not None:
            await self._control.close()
        if self._loop is not None:
            await deferToThread(self._loop.stop)

    def _factory(self, certificates: Certificates, maildir: Maildir) -> Any:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificates.certificate, certificates.key)
        delivery = _Delivery(maildir, self.faults)

        def connected() -> SMTP:
            return _Session(
                delivery,
                hostname="localhost",
                ident="S4 local cloud",
                tls_context=tls,
                require_starttls=True,
                auth_required=True,
                authenticator=self._authenticate,
                enable_SMTPUTF8=self._options.smtputf8,
                decode_data=False,
            )

        return connected

    def _authenticate(
        self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any
    ) -> AuthResult:
        del server, session, envelope, mechanism
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        right = secrets.compare_digest(data.password, self._password.encode())
        named = data.login == _USER.encode()
        return AuthResult(success=right and named, handled=False)


class ControlSite(Resource):
    """The control endpoint of a part that has faults alone."""

    isLeaf = True

    def __init__(self, faults: FaultBook) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._control = Control(faults, Slowness())

    def render(self, request: Any) -> int:
        """One request."""
        return self._control.render(request)

"""Mail reaches a real SMTP server, or fails with what to do about it."""

from __future__ import annotations

import datetime as dt
import ssl
import threading
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from aiosmtpd.smtp import Envelope as Received
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import reactor
from twisted.internet import ssl as txssl
from twisted.internet.protocol import Factory, Protocol
from twisted.mail.smtp import SMTPClientError, SMTPDeliveryError
from twisted.trial.unittest import TestCase

from lae_flapp.mail.message import Envelope
from lae_flapp.mail.server import (
    Login,
    MailLater,
    MailRefused,
    SmtpServer,
    sort_failure,
)
from lae_localcloud.ports import free_ports
from lae_protocol.aws.tls import NamedPeerPolicy
from lae_protocol.secret import Secret

ENVELOPE = Envelope(
    "bounces+su@s4.example",
    "o'neil+x&co@xn--exmple-cua.org",
    b"Subject: x\r\nMessage-ID: <1@s4>\r\n\r\n.dot\r\nbody\r\n",
)


def certificate(folder: Path, names: list[str]) -> tuple[Path, txssl.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if names:
        san = x509.SubjectAlternativeName([x509.DNSName(n) for n in names])
        builder = builder.add_extension(san, critical=False)
    made = builder.sign(key, hashes.SHA256())
    pem = made.public_bytes(serialization.Encoding.PEM)
    path = folder / "server.pem"
    path.write_bytes(
        pem
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path, txssl.Certificate.loadPEM(pem)


class Mailbox:
    """Keeps what it accepts; *answers* are given to DATA or RCPT first, once each."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.to_rcpt: list[str] = []
        self.to_data: list[str] = []
        self.hang: threading.Event | None = None

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.to_rcpt:
            return self.to_rcpt.pop()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.to_data:
            return self.to_data.pop()
        self.received.append(envelope)
        return "250 OK"


class SmtpServerTests(TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.box = Mailbox()
        self.serve(["localhost"])

    def serve(self, names: list[str]) -> None:
        path, self.root = certificate(self.folder, names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)

        def authenticate(server, session, envelope, mechanism, data):
            good = isinstance(data, LoginPassword) and data.password == b"open"
            return AuthResult(success=good, handled=False)

        self.port = free_ports(1)[0]
        controller = Controller(
            self.box,
            hostname="127.0.0.1",
            port=self.port,
            tls_context=context,
            require_starttls=True,
            authenticator=authenticate,
            auth_required=True,
            enable_SMTPUTF8=False,
        )
        controller.start()
        self.addCleanup(controller.stop)

    def door(self, password: str = "open", seconds: float = 10) -> SmtpServer:
        policy = NamedPeerPolicy(txssl.trustRootFromCertificates([self.root]))
        login = Login("s4", Secret(password))
        return SmtpServer(reactor, "localhost", self.port, login, policy, seconds)

    async def test_delivers(self) -> None:
        """An accepted mail arrives byte for byte, at the exact address."""
        await self.door().deliver(ENVELOPE)
        (got,) = self.box.received
        self.assertEqual(got.rcpt_tos, [ENVELOPE.recipient])
        self.assertEqual(got.mail_from, ENVELOPE.sender)
        self.assertEqual(got.content, ENVELOPE.message)

    async def test_put_off(self) -> None:
        """A 4xx answer means later, and the same door delivers then."""
        self.box.to_data = ["451 try later"]
        with self.assertRaises(MailLater):
            await self.door().deliver(ENVELOPE)
        await self.door().deliver(ENVELOPE)
        self.assertEqual(len(self.box.received), 1)

    async def test_refused_recipient(self) -> None:
        """A 550 to the recipient is about the address."""
        self.box.to_rcpt = ["550 no such user"]
        with self.assertRaises(MailRefused) as e:
            await self.door().deliver(ENVELOPE)
        self.assertTrue(e.exception.about_recipient)

    async def test_wrong_password(self) -> None:
        """A refused login is no fault of the recipient, and the password is not told."""
        with self.assertRaises((MailRefused, MailLater)) as e:
            await self.door("wrong-password").deliver(ENVELOPE)
        self.assertNotIn("wrong-password", str(e.exception))
        self.assertEqual(self.box.received, [])

    async def test_nobody_listens(self) -> None:
        """A mail server that is down means later."""
        policy = NamedPeerPolicy()
        nobody = SmtpServer(reactor, "localhost", free_ports(1)[0], None, policy)
        with self.assertRaises(MailLater):
            await nobody.deliver(ENVELOPE)

    async def test_foreign_certificate(self) -> None:
        """A server whose certificate is not trusted gets nothing."""
        login = Login("s4", Secret("open"))
        door = SmtpServer(reactor, "localhost", self.port, login, NamedPeerPolicy())
        with self.assertRaises(MailLater):
            await door.deliver(ENVELOPE)
        self.assertEqual(self.box.received, [])

    async def test_certificate_without_name(self) -> None:
        """A trusted certificate without subjectAltName is refused."""
        self.serve([])
        with self.assertRaises(MailLater):
            await self.door().deliver(ENVELOPE)
        self.assertEqual(self.box.received, [])
        self.flushLoggedErrors()

    async def test_deadline(self) -> None:
        """A server that never answers is given up at the deadline."""
        server = reactor.listenTCP(0, _Silent(), interface="127.0.0.1")
        self.addCleanup(server.stopListening)
        door = SmtpServer(
            reactor, "localhost", server.getHost().port, None, NamedPeerPolicy(), 0.3
        )
        with self.assertRaises(MailLater):
            await door.deliver(ENVELOPE)

    def test_sorting(self) -> None:
        """Only 5xx is final, and only three codes of it are about the recipient."""
        for code, kind, about in (
            (421, MailLater, None),
            (451, MailLater, None),
            (-1, MailLater, None),
            (535, MailRefused, False),
            (550, MailRefused, True),
            (554, MailRefused, False),
        ):
            answers = [(b"a@example.org", code, b"words")]
            error = SMTPDeliveryError(code, b"words", addresses=answers)
            sorted_as = sort_failure(error)
            self.assertIsInstance(sorted_as, kind)
            if about is not None:
                self.assertEqual(sorted_as.about_recipient, about)
            self.assertNotIn("words", str(sorted_as))

    def test_whose_550(self) -> None:
        """A 550 that was not said to RCPT is no word about the address."""
        for error in (
            SMTPClientError(550, b"we know no such sender"),
            SMTPDeliveryError(550, b"sender"),
            SMTPDeliveryError(550, b"spam", addresses=[(b"a@example.org", 250, b"")]),
        ):
            self.assertFalse(sort_failure(error).about_recipient)


class _Silent(Factory):
    protocol = Protocol

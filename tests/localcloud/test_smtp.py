"""The mail server, with the standard library's client."""

from __future__ import annotations

import json
import mailbox
import smtplib
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class MailProcess:
    def __init__(self, state_dir: Path) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "lae_localcloud.command",
                "smtp",
                "--state-dir",
                str(state_dir),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        assert any("everything else" in line for line in self._process.stdout)
        self.facts = json.loads((state_dir / "smtp.json").read_text())
        self.password = Path(self.facts["password_file"]).read_text().strip()
        self.maildir = mailbox.Maildir(self.facts["maildir"], create=False)

    def client(self) -> smtplib.SMTP:
        trust = ssl.create_default_context(cafile=self.facts["ca_file"])
        client = smtplib.SMTP(self.facts["host"], self.facts["port"], timeout=10)
        client.starttls(context=trust)
        client.login(self.facts["user"], self.password)
        return client

    def send(self, to: str = "you@example.org", text: str = "hello") -> None:
        with self.client() as client:
            body = f"Subject: test\r\nTo: {to}\r\n\r\n{text}\r\n"
            client.sendmail("bounces+su1@s4.test", [to], body)

    def fault(self, action: str, kind: str, **more: Any) -> None:
        fault = {"service": "smtp", "action": action, "kind": kind, **more}
        request = urllib.request.Request(
            self.facts["control_url"] + "faults",
            data=json.dumps(fault).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10):
            pass

    def stop(self) -> int:
        self._process.terminate()
        return self._process.wait(10)


@pytest.fixture(scope="module")
def mail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailProcess]:
    started = MailProcess(tmp_path_factory.mktemp("mail") / "state")
    yield started
    assert started.stop() == 0


@pytest.fixture(autouse=True)
def empty(mail: MailProcess) -> None:
    mail.maildir.clear()


def test_mail_arrives_whole(mail: MailProcess) -> None:
    """A message is in the Maildir, with its envelope, as soon as it is accepted."""
    mail.send(to="o'neil+x&co@example.org", text=".leading dot\r\nü".replace("ü", "u"))
    (message,) = mail.maildir
    assert message["Delivered-To"] == "o'neil+x&co@example.org"
    assert message["Return-Path"] == "<bounces+su1@s4.test>"
    assert message.get_payload() == ".leading dot\nu\n"


def test_neither_without_tls_nor_without_a_password(mail: MailProcess) -> None:
    """Mail is refused before STARTTLS, before AUTH, and with a wrong password."""
    with smtplib.SMTP(mail.facts["host"], mail.facts["port"], timeout=10) as client:
        client.ehlo()
        assert client.mail("a@s4.test")[0] == 530
        trust = ssl.create_default_context(cafile=mail.facts["ca_file"])
        client.starttls(context=trust)
        client.ehlo()
        assert client.mail("a@s4.test")[0] == 530
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login(mail.facts["user"], "wrong")
        assert "smtputf8" not in client.esmtp_features
    assert len(mail.maildir) == 0


def test_the_certificate_names_localhost_in_its_alternative_names(
    mail: MailProcess,
) -> None:
    """A client that trusts the authority sees the name where names belong."""
    with mail.client() as client:
        socket: Any = client.sock
        names = dict(socket.getpeercert()["subjectAltName"])
    assert names == {"DNS": "localhost", "IP Address": "127.0.0.1"}


@pytest.mark.parametrize("status", [451, 550])
@pytest.mark.parametrize("action", ["MAIL", "RCPT", "DATA"])
def test_refusals(mail: MailProcess, action: str, status: int) -> None:
    """A fault refuses one message for now or for good; the next one is taken."""
    mail.fault(action, "error-before", status=status)
    with pytest.raises(smtplib.SMTPException) as caught:
        mail.send()
    assert str(status) in str(caught.value)
    assert len(mail.maildir) == 0
    mail.send()
    assert len(mail.maildir) == 1


def test_a_message_may_be_taken_without_a_word(mail: MailProcess) -> None:
    """The connection is cut after the message was kept and before 250 was said."""
    mail.fault("DATA", "lost-reply")
    with pytest.raises(smtplib.SMTPServerDisconnected):
        mail.send()
    assert len(mail.maildir) == 1


def test_a_connection_may_be_refused_or_hang(mail: MailProcess) -> None:
    """The server closes a new connection at once, or keeps its client waiting."""
    mail.fault("CONNECT", "lost-call")
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionResetError)):
        mail.send()
    mail.fault("MAIL", "delay", seconds=0.3)
    began = time.monotonic()
    mail.send()
    assert time.monotonic() - began >= 0.3

"""The shipped nginx configuration, run in front of a site: TLS, headers, limits."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from attrs import define

from lae_localcloud.certificates import Certificates, make_certificates
from lae_localcloud.ports import free_ports
from lae_protocol.process.resources import config_folder
from lae_protocol.secret import Secret
from lae_site.stripe_signature import expected_signature
from tests.browser.conftest import SETTINGS, Running, end, run_site

MISSING = "no nginx: make install-tests takes it from Debian's package"
#: As operators set it, but that the site's own limits are far: nginx's are seen.
SITE_SETTINGS = (
    SETTINGS.replace("cookies_over_http: true\n", "").replace(
        "registrations_per_hour: 100000", "registrations_per_hour: 5"
    )
    + "proxies: 1\n"
)
#: What encloses the shipped file, as Debian's nginx.conf does; one server tells which
#: addresses are one network.
NGINX = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
events {{}}
error_log {folder}/main.log;
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/s4.conf;
    limit_req_zone $s4_network zone=probe:1m rate=1r/m;
    server {{
        listen 127.0.0.1:{probe_port};
        set_real_ip_from 127.0.0.1;
        real_ip_header X-Seen;
        location / {{
            limit_req zone=probe;
            limit_req_status 429;
            root {folder}/nothing;
        }}
    }}
}}
"""


@define
class Proxy:
    """nginx with the shipped file, and the site behind it."""

    site: Running
    port: int
    probe_port: int
    folder: Path
    authority: Path

    def connect(self, source: str = "127.0.0.1") -> http.client.HTTPSConnection:
        """Connect as a browser of the network *source* does."""
        return http.client.HTTPSConnection(
            "localhost",
            self.port,
            timeout=60,
            source_address=(source, 0),
            context=ssl.create_default_context(cafile=str(self.authority)),
        )

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        source: str = "127.0.0.1",
    ) -> http.client.HTTPResponse:
        """Ask once, and read the answer."""
        connection = self.connect(source)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        answer.text = answer.read().decode()  # type: ignore[attr-defined]
        connection.close()
        return answer

    def raw(self, sent: bytes) -> bytes:
        """Send bytes, and read until the proxy hangs up."""
        context = ssl.create_default_context(cafile=str(self.authority))
        with (
            socket.create_connection(("127.0.0.1", self.port), 60) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            tls.sendall(sent)
            return b"".join(iter(lambda: tls.recv(65536), b""))

    def sign_up(
        self, source: str, headers: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        """Fill the form in and send it, from the network *source*."""
        form: Any = self.ask("GET", "/signup", source=source)
        token = re.search('name="token" value="([^"]*)"', form.text)
        assert token
        fields = {"token": token[1], "email": "ann@example.org", "terms": "agreed"}
        fields["plan"] = "s4-small-monthly"
        sent = {
            "Cookie": form.headers["set-cookie"].partition(";")[0],
            "Content-Type": "application/x-www-form-urlencoded",
        }
        body = urlencode(fields).encode()
        return self.ask("POST", "/signup", body, sent | (headers or {}), source)


def shipped(folder: Path, port: int, site_port: int, made: Certificates) -> str:
    """The file that ships, with what its first lines tell operators to put in."""
    text = (config_folder() / "nginx" / "s4.conf").read_text()
    text = re.sub(r"(?m)^ *listen \[::\]:.*\n", "", text)
    for what, instead in (
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("    listen 80;\n", f"    listen unix:{folder}/plain.sock;\n"),
        ("127.0.0.1:8080", f"127.0.0.1:{site_port}"),
        ("/etc/letsencrypt/live/s4.example.org/fullchain.pem", str(made.certificate)),
        ("/etc/letsencrypt/live/s4.example.org/privkey.pem", str(made.key)),
        ("s4.example.org", "localhost"),
        ("/var/log/nginx/", f"{folder}/"),
    ):
        assert what in text
        text = text.replace(what, instead)
    return text


@contextmanager
def run_nginx(folder: Path, port: int, site: Running, probe_port: int) -> Iterator[Any]:
    """Run nginx until the test is over."""
    places = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin"
    nginx = shutil.which("nginx", path=places)
    if nginx is None:
        if os.environ.get("CI", "") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    made = make_certificates(folder)
    (folder / "s4.conf").write_text(shipped(folder, port, site.ports[0], made))
    main = folder / "nginx.conf"
    main.write_text(NGINX.format(folder=folder, probe_port=probe_port))
    command = [nginx, "-e", str(folder / "start.log"), "-p", str(folder)]
    process = subprocess.Popen([*command, "-c", str(main)])
    try:
        until = time.monotonic() + 60
        while not _listens(port):
            assert process.poll() is None, (folder / "start.log").read_text()
            assert time.monotonic() < until
            time.sleep(0.05)
        yield made
    finally:
        end(process)


def _listens(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """One for all tests, each of which comes from a network of its own."""
    folder = tmp_path_factory.mktemp("proxy")
    first, second, third, port, probe_port = free_ports(5)
    with (
        run_site(
            folder,
            (first, second, third),
            settings=SITE_SETTINGS,
            site_url=f"https://localhost:{port}",
        ) as site,
        run_nginx(folder, port, site, probe_port) as made,
    ):
        yield Proxy(site, port, probe_port, folder, made.authority)


def headers_of(answer: http.client.HTTPResponse) -> dict[str, list[str]]:
    """The headers that tell browsers what they may do, each with all its values."""
    names = ("strict-transport-security", "content-security-policy", "referrer-policy")
    names += ("x-content-type-options", "cache-control")
    return {n: answer.headers.get_all(n) or [] for n in names}


def test_each_answer_has_its_headers_once(proxy) -> None:
    """The site's answers come with the site's headers, and nginx's own with the same
    kinds of headers; HSTS includes subdomains in both.
    """
    own = proxy.ask("POST", "/signup", bytes(16 * 1024 + 1))
    for status, answer in (
        (200, proxy.ask("GET", "/")),
        (404, proxy.ask("GET", "/nothing")),
        (413, own),
    ):
        assert answer.status == status
        told = headers_of(answer)
        assert all(len(values) == 1 for values in told.values()), told
        assert "includeSubDomains" in told["strict-transport-security"][0]
        assert "frame-ancestors 'none'" in told["content-security-policy"][0]
    assert "This request is too large" in own.text
    for host in (b"", b"Host: localhost\r\nHost: localhost\r\n"):
        got = proxy.raw(b"GET / HTTP/1.1\r\n" + host + b"\r\n")
        assert got.startswith(b"HTTP/1.1 400 ")
        assert b"Strict-Transport-Security: " in got


def test_a_visitors_claim_of_an_address_goes_no_further(proxy) -> None:
    """Whoever sends X-Forwarded-For, in one line or two, is counted by the address that
    the proxy sees; another network goes on.
    """
    statuses = [
        proxy.sign_up(
            "127.0.1.1",
            {"X-Forwarded-For": f"198.51.100.{n}", "Forwarded": f"for=198.51.100.{n}"},
        ).status
        for n in range(6)
    ]
    assert statuses == [303] * 5 + [429]
    assert proxy.sign_up("127.0.1.2").status == 303


def test_an_event_comes_through_at_once(proxy) -> None:
    """Live progress is not buffered, and one network cannot watch without end."""
    answer = proxy.sign_up("127.0.2.1")
    assert answer.status == 303
    cookie = answer.headers["set-cookie"].partition(";")[0]
    signup_id = cookie.partition("=")[0].removeprefix("__Host-s4-")
    path = f"/signup/{signup_id}/events"
    connection = proxy.connect("127.0.2.1")
    connection.request("GET", path, headers={"Cookie": cookie})
    stream = connection.getresponse()
    assert any(stream.readline().startswith(b"event: view") for _ in range(50))
    proxy.site.happen(signup_id, "paid")
    assert any(b'"kind":"paid"' in stream.readline() for _ in range(50))
    watching = [proxy.connect("127.0.2.1") for _ in range(20)]
    for each in watching:
        each.request("GET", path)
    told = [each.getresponse().status for each in watching]
    assert told == [200] * 19 + [429]
    other = proxy.connect("127.0.2.2")
    other.request("GET", path)
    assert other.getresponse().status == 200
    for each in (connection, other, *watching):
        each.close()


def test_webhooks_come_through_whole(proxy) -> None:
    """A signed event of half a megabyte reaches the daemon; a larger one is refused, and
    so is as large a body for any other route.
    """
    event = b'{"object": "event", "id": "evt_1", "type": "checkout.session.completed",'
    event += b' "data": {"object": {"object": "checkout.session", "id": "cs_1"}}'
    body = event + b" " * (512 * 1024 - len(event) - 1) + b"}"
    at = str(int(time.time()))
    signature = expected_signature(Secret("whsec_browser"), at, body)
    headers = {"Stripe-Signature": f"t={at},v1={signature}"}
    told = proxy.ask("POST", "/webhook/stripe", body, headers)
    assert (told.status, told.text) == (200, "taken\n")
    assert proxy.ask("POST", "/webhook/stripe", body + b" ", headers).status == 413
    assert proxy.ask("POST", "/", body, headers).status == 413


def test_one_network_asks_so_often_and_no_more(proxy) -> None:
    """After a burst a network is told to wait, by a page with the headers; the log has
    its line, and no visitor's address; another network, and webhooks, go on.
    """
    connection = proxy.connect("127.0.3.1")
    answered = 0
    while answered < 5000:
        connection.request("GET", "/health/site?private=1")
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            break
        answered += 1
    assert answer.status == 429
    assert answered >= 200
    assert answer.headers["retry-after"] == "60"
    assert all(len(values) == 1 for values in headers_of(answer).values())
    assert proxy.ask("GET", "/", source="127.0.3.2").status == 200
    webhook = proxy.ask("POST", "/webhook/stripe", source="127.0.3.1")
    assert webhook.status == 400
    log = (proxy.folder / "s4.access.log").read_text()
    assert "GET /health/site 429 " in log
    assert "127.0" not in log
    assert "private" not in log
    assert (proxy.folder / "s4.error.log").read_text() == ""


def test_what_counts_as_one_network(proxy) -> None:
    """nginx counts as the site does: an IPv4 address, however it is written, and 64 bits
    of IPv6.
    """
    seen = []
    for address in (
        "203.0.113.1",
        "203.0.113.2",
        "::ffff:203.0.113.1",
        "::ffff:203.0.113.3",
        "203.0.113.10",
        "2001:db8:0:1::1",
        "2001:db8:0:1:ffff::2",
        "2001:db8:0:2::1",
    ):
        connection = http.client.HTTPConnection("127.0.0.1", proxy.probe_port)
        connection.request("GET", "/", headers={"X-Seen": address})
        seen.append(connection.getresponse().status)
        connection.close()
    assert seen == [404, 404, 429, 404, 404, 404, 429, 404]


def test_without_the_site_the_proxy_says_so(proxy) -> None:
    """While no copy of the site answers, visitors read so, with the headers."""
    assert proxy.site.site is not None
    end(proxy.site.site)
    answer = proxy.ask("GET", "/")
    assert answer.status == 503
    assert "Nothing is lost" in answer.text
    assert all(len(values) == 1 for values in headers_of(answer).values())
    proxy.site.start_site()

"""A real site process, the daemon's twin as another, and a real Chromium."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from lae_localcloud.ports import free_ports
from tests.chromium import ARGUMENTS, CHROMIUM, MISSING

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SCREENSHOTS = ROOT / "build" / "screenshots"
SETTINGS = """\
process: site
environment: local
site_url: {site_url}
listen: tcp:{port}:interface=127.0.0.1
front_desk_furl: {{file: front-desk.furl}}
webhook_secrets: {{folder: webhook}}
cookie_keys: {{folder: cookie}}
plans_file: {plans}
checkout_origins: ["http://localhost:{stripe_port}"]
cookies_over_http: true
registrations_per_hour: 100000
requests_per_second: 1000
streams_per_network: 500
connections_per_network: 1000
support_email: support@s4.example
operator_name: Example Storage Ltd
operator_address: 1 Example Road, Exampleton
log_format: json
metrics_listen: null
"""


def secret_file(path: Path, text: str) -> None:
    """Write a secret as settings ask for it."""
    path.parent.mkdir(exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


def end(process: subprocess.Popen[Any]) -> None:
    """End a process that we started."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@define
class Running:
    """The two processes."""

    folder: Path
    site_url: str
    ports: tuple[int, int, int]
    site: subprocess.Popen[bytes] | None = None
    twin: subprocess.Popen[str] | None = None

    def start_twin(self) -> None:
        """Start the daemon's twin and Stripe's; it has forgotten all signups."""
        _, furl_port, stripe_port = self.ports
        self.twin = subprocess.Popen(
            [
                sys.executable,
                str(HERE / "twin_daemon.py"),
                str(self.folder),
                str(furl_port),
                str(stripe_port),
                self.site_url,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.twin.stdout is not None
        assert self.twin.stdout.readline() == "ready\n"

    def stop_twin(self) -> None:
        """As if the daemon were down."""
        assert self.twin is not None
        end(self.twin)

    def start_site(self) -> None:
        """``twistd lae-site``, from another folder, as a service would be."""
        twistd = Path(sys.executable).parent / "twistd"
        with (self.folder / "site.log").open("ab") as log:
            self.site = subprocess.Popen(
                [
                    *(twistd, "--nodaemon", "--pidfile=", "lae-site"),
                    *("--config", self.folder / "site.yaml"),
                ],
                cwd="/",
                stdout=log,
                stderr=log,
            )
        self.wait_until(lambda: bool(self.health()))

    def health(self) -> dict[str, Any]:
        """What the site says of itself; nothing while it does not listen."""
        try:
            url = f"http://localhost:{self.ports[0]}/health"
            with urllib.request.urlopen(url) as got:
                answer: dict[str, Any] = json.load(got)
                return answer
        except urllib.error.HTTPError as unhealthy:
            told: dict[str, Any] = json.load(unhealthy)
            return told
        except urllib.error.URLError:
            return {}

    def wait_until(self, holds: Any, seconds: float = 120) -> None:
        """Look again and again; the limit is only for what never comes."""
        until = time.monotonic() + seconds
        while not holds():
            assert self.site is None or self.site.poll() is None, self.log()
            assert time.monotonic() < until, self.log()
            time.sleep(0.05)

    def say(self, **order: Any) -> dict[str, str]:
        """Tell the twin what happens; the answer is each signup's address."""
        assert self.twin is not None
        assert self.twin.stdin is not None
        assert self.twin.stdout is not None
        self.twin.stdin.write(json.dumps(order) + "\n")
        self.twin.stdin.flush()
        told: dict[str, str] = json.loads(self.twin.stdout.readline())
        return told

    def happen(self, signup_id: str, *kinds: str) -> None:
        """These happen."""
        self.say(happen=[signup_id, *kinds])

    def log(self) -> str:
        """What the site wrote."""
        return (self.folder / "site.log").read_text()


@contextmanager
def run_site(
    folder: Path,
    ports: tuple[int, int, int],
    *,
    settings: str = SETTINGS,
    site_url: str | None = None,
) -> Iterator[Running]:
    """Run both in *folder*; the site's own address is *site_url*."""
    site_url = site_url or f"http://localhost:{ports[0]}"
    made = Running(folder, site_url, ports)
    secret_file(folder / "webhook" / "0001.key", "whsec_browser")
    secret_file(folder / "cookie" / "0001.key", "k" * 64)
    (folder / "site.yaml").write_text(
        settings.format(
            site_url=site_url,
            port=ports[0],
            stripe_port=ports[2],
            plans=ROOT / "config" / "plans.yaml",
        )
    )
    try:
        made.start_twin()
        made.start_site()
        yield made
    finally:
        for process in (made.site, made.twin):
            if process is not None and process.poll() is None:
                end(process)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Both, for all tests; a test that stops the twin starts it again."""
    first, second, third = free_ports(3)
    with run_site(tmp_path_factory.mktemp("site"), (first, second, third)) as made:
        yield made


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium; without it these tests are skipped, but never in CI.

    One for a module: two of playwright's loops cannot live in one thread.
    """
    if CHROMIUM is None:
        if os.environ.get("CI", "") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  (slow to import)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@define
class Window:
    """A browser window: one look of a page, and its complaints."""

    page: Any
    complaints: list[str]
    look: str

    def shoot(self, name: str) -> None:
        """Keep a picture; nothing may stick out at the side or have been refused."""
        wide = "document.documentElement.scrollWidth"
        if not self.look.endswith("no-js"):
            assert self.page.evaluate(f"{wide} <= window.innerWidth"), name
        self.page.screenshot(
            path=SCREENSHOTS / f"{name}-{self.look}.png", full_page=True
        )
        assert self.complaints == []


SIZES = {
    "phone": {"width": 390, "height": 844},
    "desktop": {"width": 1280, "height": 900},
}


@pytest.fixture
def open_window(chromium: Any, running: Running) -> Iterator[Any]:
    """Opens windows: ``phone-dark``, ``desktop-light``, ``phone-light-no-js``…"""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    contexts = []

    def open_one(look: str) -> Window:
        size, scheme, *rest = look.split("-", 2)
        context = chromium.new_context(
            base_url=running.site_url,
            viewport=SIZES[size],
            color_scheme=scheme,
            java_script_enabled=not rest,
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        complaints: list[str] = []
        context.set_default_timeout(120_000)
        page = context.new_page()

        def said(message: Any) -> None:
            # That a page itself was answered 400 is told there too, and is meant.
            own = message.location["url"] == page.url and "status of" in message.text
            if message.type == "error" and not own:
                complaints.append(message.text)

        page.on("console", said)
        page.on("pageerror", lambda e: complaints.append(str(e)))
        return Window(page, complaints, look)

    yield open_one
    for context in contexts:
        context.close()

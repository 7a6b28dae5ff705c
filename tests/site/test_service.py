"""The process: what it refuses at start, and how it speaks with the daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from prometheus_client import CollectorRegistry
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.testing import MemoryReactorClock
from twisted.python.usage import UsageError

from lae_protocol.messages import Owner, Refused, StripeEvent, Taken, Watch
from lae_protocol.process.call import Facet, FacetAway, FacetRefused, FacetSlow
from lae_protocol.process.resources import config_folder
from lae_protocol.process.steady import SteadyClock
from lae_protocol.stripe_hints import StripeHint
from lae_site.daemon_status import DaemonStatus
from lae_site.front_desk import CONNECT_TIMEOUT, WEBHOOK_TIMEOUT, DeskAway, RemoteDesk
from lae_site.service import STOP_WITHIN, Options, WebSite, makeService

SETTINGS = """\
process: site
environment: staging
site_url: https://s4.example.org
listen: tcp:8080:interface=127.0.0.1
front_desk_furl: {{file: desk.furl}}
webhook_secrets: {{folder: webhook}}
cookie_keys: {{folder: cookie}}
plans_file: {plans}
support_email: support@example.org
operator_name: Example Ltd
operator_address: Exampleton
"""


@pytest.fixture
def folder(tmp_path: Path, keys: Any) -> Path:
    """Settings that are good."""
    plans = config_folder() / "plans.yaml"
    (tmp_path / "site.yaml").write_text(SETTINGS.format(plans=plans))
    for name, text in (
        ("desk.furl", keys.furl),
        ("webhook/0001.key", "whsec_x"),
        ("cookie/0001.key", "k" * 32),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    return tmp_path


def parsed(folder: Path, *more: str) -> Options:
    """As twistd does it."""
    options = Options()
    options.parseOptions(["--config", str(folder / "site.yaml"), *more])
    return options


def test_good_settings_make_a_service(folder) -> None:
    """With good settings there is a service, and nothing runs before it is started."""
    options = parsed(folder)
    assert makeService(options) is not None
    assert "k" * 32 not in repr(vars(options))


def test_it_listens_with_the_daemon_down(folder) -> None:
    """The site starts and listens whether or not anything is behind the furl."""
    reactor = MemoryReactorClock()
    site = WebSite(parsed(folder), reactor, CollectorRegistry(), SteadyClock())
    site.startService()
    assert [server[0] for server in reactor.tcpServers] == [8080, 9472]
    site.stopService()


def test_each_connection_makes_the_site_ask_the_daemon_anew(
    folder, monkeypatch
) -> None:
    """What the site knows of the daemon is forgotten when the facet connects."""
    heard: list[Any] = []
    monkeypatch.setattr(Facet, "on_connect", lambda _, listener: heard.append(listener))
    site = WebSite(
        parsed(folder), MemoryReactorClock(), CollectorRegistry(), SteadyClock()
    )
    site.startService()
    assert [listener.__func__ for listener in heard] == [DaemonStatus.forget]
    site.stopService()


def test_each_copy_has_a_port_for_its_metrics(folder) -> None:
    """Several have one file of settings."""
    for copy in (1, 2, 3):
        reactor = MemoryReactorClock()
        options = parsed(folder, "--copy", str(copy))
        site = WebSite(options, reactor, CollectorRegistry(), SteadyClock())
        site.startService()
        ports = [server[0] for server in reactor.tcpServers]
        assert ports == [8080, 9471 + copy]
        site.stopService()


@pytest.mark.parametrize("copy", ["0", "", "x", "-1", "100", "1.5"])
def test_no_such_copy(folder, copy) -> None:
    """It is refused before anything starts."""
    with pytest.raises(UsageError, match="--copy: a number from 1 to 99"):
        parsed(folder, "--copy", copy)


def test_a_copy_without_a_port(folder) -> None:
    """Where the settings' port is the last one there is, a second copy says so."""
    file = folder / "site.yaml"
    text = file.read_text()
    file.write_text(text + "metrics_listen: tcp:65535:interface=127.0.0.1\n")
    parsed(folder)
    with pytest.raises(UsageError, match="--copy 2: metrics_listen: tcp:PORT"):
        parsed(folder, "--copy", "2")


def test_it_stops_in_time_whatever_its_peers_do(folder, monkeypatch) -> None:
    """A part that never ends does not keep the process."""
    reactor = MemoryReactorClock()
    site = WebSite(parsed(folder), reactor, CollectorRegistry(), SteadyClock())
    monkeypatch.setattr(MultiService, "stopService", lambda self: Deferred())
    ended = []
    site.stopService().addBoth(ended.append)
    reactor.advance(STOP_WITHIN - 0.1)
    assert ended == []
    reactor.advance(0.2)
    assert ended == [None]


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("desk.furl", "https://example.org", "front_desk_furl: .*: not a furl"),
        ("desk.furl", "pb://" + "A" * 32 + "@h:1/x", "front_desk_furl: .*: not a furl"),
        (
            "desk.furl",
            "pb://" + "a" * 32 + "@h:1/o" + "a" * 52,
            "this is an operator's furl; the front desk's furl is needed",
        ),
        ("desk.furl", "", "it is empty"),
        ("cookie/0001.key", "short", "at least 32 characters"),
        ("site.yaml", "process: site\nsite_ulr: x\n", ":2: .*did you mean 'site_url'"),
    ],
)
def test_wrong_settings_end_it_in_one_line(folder, file, text, says) -> None:
    """A mistake ends the start with its place, and tells no secret."""
    (folder / file).write_text(text)
    with pytest.raises(UsageError, match=says) as caught:
        parsed(folder)
    assert "\n" not in str(caught.value)
    if file != "site.yaml" and text:
        assert text not in str(caught.value)


def test_a_secret_that_others_can_read_is_refused(folder) -> None:
    """A secret's file must be the site's alone."""
    (folder / "cookie" / "0001.key").chmod(0o644)
    with pytest.raises(UsageError, match="others can read it"):
        parsed(folder)


def test_without_settings_it_says_what_is_needed() -> None:
    """No --config is a usage error."""
    with pytest.raises(UsageError, match="--config FILE is needed"):
        Options().parseOptions([])


@define
class FakeFacet:
    """A connection that answers what it is told to, and remembers what it was asked."""

    answer: Deferred[Any]
    connected: bool = True
    asked: list[tuple[Any, ...]] = field(factory=list)

    async def ask(self, question: Any, seconds: float, request_id: str | None) -> Any:
        """As lae_protocol.process.call.Facet."""
        self.asked.append((question, seconds, request_id))
        return await self.answer


EVENT = StripeEvent(StripeHint("evt_1", "invoice.paid", "in_1"))


def now(asking: Any) -> Any:
    """The answer of a question that needs no waiting."""
    results: list[Any] = []
    Deferred.fromCoroutine(asking).addBoth(results.append)
    (result,) = results
    if hasattr(result, "raiseException"):
        result.raiseException()
    return result


def test_a_daemon_of_another_release(errors) -> None:
    """A question that the daemon does not know is an error in the log, and for a
    visitor the daemon is away; any other refusal is the page's to show.
    """
    for code in ("not-known-here", "version"):
        with pytest.raises(DeskAway):
            now(RemoteDesk(FakeFacet(succeed(Refused(code, "")))).ask(EVENT))
        assert errors
        errors.clear()
    refused = Refused("try-later", "")
    assert now(RemoteDesk(FakeFacet(succeed(refused))).ask(EVENT)) == refused


def test_deadlines() -> None:
    """A webhook waits 5 s, a watch as long as it asks for, and no page for long for a
    connection that is not there.
    """
    facet = FakeFacet(succeed(Taken(known=True)))
    desk = RemoteDesk(facet)
    now(desk.ask(EVENT, "rq1"))
    now(desk.ask(Watch(Owner("su" + "a" * 20), 0, 20)))
    facet.connected = False
    now(desk.ask(EVENT))
    assert [seconds for _, seconds, _ in facet.asked] == [
        WEBHOOK_TIMEOUT,
        22,
        CONNECT_TIMEOUT,
    ]
    assert [request_id for *_, request_id in facet.asked] == ["rq1", None, None]
    assert WEBHOOK_TIMEOUT == 5


@pytest.mark.parametrize("problem", [FacetAway, FacetSlow, FacetRefused])
def test_every_failure_is_a_daemon_that_is_away(problem, errors) -> None:
    """Away, slow or speaking nonsense: for a visitor it is the same; only the last is
    an error in the log.
    """
    with pytest.raises(DeskAway):
        now(RemoteDesk(FakeFacet(fail(problem("x")))).ask(EVENT))
    assert bool(errors) == (problem is FacetRefused)
    errors.clear()

"""What holds for every page: words, headers, errors, and nothing told by mistake."""

from __future__ import annotations

import html.parser
import json
import re

import pytest

from lae_site.daemon_status import DaemonPoll
from lae_site.health import LONGEST_SILENCE
from lae_site.public import TEXT_PAGES

PAGES = ["/", "/signup", *TEXT_PAGES]
VOID = {"meta", "link", "input", "img", "br", "hr"}


class Outline(html.parser.HTMLParser):
    """Checks that elements are closed in order; collects what tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict]] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.seen.append((tag, dict(attrs)))
        self.ids += [v for k, v in attrs if k == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        if tag not in ("svg", "path"):
            assert self.open.pop() == tag


def check(text: str) -> Outline:
    """A page is well formed, has no inline script or style, and one heading."""
    page = Outline(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert page.seen.count(("html", {"lang": "en"})) == 1
    assert [t for t, _ in page.seen].count("h1") == 1
    for tag, attributes in page.seen:
        assert tag != "style"
        assert not any(k.startswith("on") or k == "style" for k in attributes)
        if tag == "script":
            assert attributes["src"].startswith("/static/")
        if tag == "input" and attributes.get("type") == "text":
            assert ("label", {"for": attributes["id"]}) in page.seen
    return page


@pytest.mark.parametrize("path", PAGES)
def test_public_pages(world, path) -> None:
    """Every public page is well formed and loads nothing from anybody else."""
    answer = world.visitor.get(path)
    assert answer.status == 200
    for tag, attributes in check(answer.text).seen:
        if tag in ("script", "img", "link"):
            assert (attributes.get("src") or attributes["href"]).startswith("/static/")


@pytest.mark.parametrize("path", PAGES)
def test_links_lead_somewhere(world, path) -> None:
    """Every link to the site itself is a page that is there."""
    for tag, attributes in check(world.visitor.get(path).text).seen:
        link = attributes.get("href", "") if tag in ("a", "link") else ""
        if link.startswith("/"):
            assert world.visitor.get(link.partition("#")[0]).status == 200, link
        if "#" in link:
            where, _, name = link.partition("#")
            assert name in check(world.visitor.get(where or path).text).ids


def test_status_pages_are_well_formed_in_every_state(world) -> None:
    """A signup's page is well formed after each thing that can happen to it."""
    from lae_site.description import NOTES, STEPS  # noqa: PLC0415

    signup_id = world.signed_up()
    for kind in [*STEPS, "paid", *NOTES, "something-new"]:
        world.desk.happen(signup_id, kind)
        for visitor in (world.visitor, world.stranger()):
            answer = visitor.get(f"/signup/{signup_id}")
            assert answer.status == 200
            check(answer.text)
            assert answer.headers["cache-control"] == "no-store"


def test_plans_and_prices_are_those_of_the_file(world) -> None:
    """The landing page shows each plan with price, storage and traffic."""
    text = world.visitor.get("/").text
    for words in ("€39.00 a month", "€169.00 a month", "100 GB", "1 TB"):
        assert words in text
    chosen = world.visitor.get("/signup?plan=s4-large-monthly").text
    assert 'value="s4-large-monthly" checked' in chosen
    assert world.visitor.get("/signup?plan=none").status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/signup/", 404),
        ("GET", "//evil.example/", 404),
        ("GET", "/static/../settings.py", 404),
        ("GET", "/static/VENDORED.txt", 404),
        ("GET", "/%ff", 400),
        ("POST", "/", 405),
        ("PUT", "/signup", 405),
        ("OPTIONS", "/", 405),
        ("TRACE", "/", 405),
    ],
)
def test_what_is_not_there(world, method, path, status) -> None:
    """Unknown addresses and methods have a plain page, with every header."""
    answer = world.visitor.ask(method, path)
    assert answer.status == status
    assert "Traceback" not in answer.text
    assert "content-security-policy" in answer.headers
    check(answer.text)
    if status == 405:
        assert answer.headers["allow"]


def test_every_answer_has_the_headers(world) -> None:
    """Pages, files, redirects and errors carry the security headers."""
    signup_id = world.signed_up()
    stylesheet = re.search(r"/static/site.css\?v=\w+", world.visitor.get("/").text)[0]
    for path in ("/", stylesheet, f"/signup/{signup_id}?returned=1", "/no", "/health"):
        headers = world.visitor.get(path).headers
        policy = headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "form-action 'self' https://checkout.stripe.com" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["strict-transport-security"].startswith("max-age=")
        assert headers["server"] == "S4"


def test_hsts_is_for_https_alone(worlds) -> None:
    """Over http, on this machine, there is no HSTS, and cookies have no prefix."""
    world = worlds(site_url="http://localhost:8000", cookies_over_http=True)
    assert "strict-transport-security" not in world.visitor.get("/").headers
    (cookie,) = world.visitor.sign_up().cookies
    assert cookie.startswith("s4-su")
    assert "Secure" not in cookie
    assert "HttpOnly" in cookie


def test_the_host_header_is_not_believed(world) -> None:
    """No Host, however odd, changes an answer or appears in it."""
    plain = world.visitor.get("/").text
    for host in ("evil.example", "a..b", "[", "x" * 300, "ä.example", "s4 example"):
        answer = world.visitor.get("/", Host=host)
        assert (answer.status, answer.text) == (200, plain)
        assert "location" not in world.visitor.get("/signup/", Host=host).headers


def test_head_tells_what_get_would(world) -> None:
    """HEAD has GET's headers and no body."""
    for path in (*PAGES, "/health", "/static/icon.svg"):
        head = world.visitor.ask("HEAD", path)
        assert head.status == 200
        assert head.body == b""
        assert head.headers["content-length"] != "0"


def test_a_broken_page_tells_nothing(world, errors, monkeypatch) -> None:
    """An error of ours is a page that says sorry, and a line in the log."""

    async def broken(desk: object, question: object, **_: object) -> None:
        raise RuntimeError("pb://secret")

    signup_id = world.signed_up()
    monkeypatch.setattr(type(world.desk), "ask", broken)
    answer = world.visitor.get(f"/signup/{signup_id}")
    assert answer.status == 500
    assert "pb://" not in answer.text
    assert "RuntimeError" not in answer.text
    check(answer.text)
    assert "RuntimeError" in errors.pop()


def test_files_are_kept_by_browsers_as_long_as_they_are_the_same(world) -> None:
    """A file under its version's address is kept; under another it is asked for."""
    link = re.search(r"/static/site.css\?v=\w+", world.visitor.get("/").text)[0]
    assert "immutable" in world.visitor.get(link).headers["cache-control"]
    other = world.visitor.get("/static/site.css?v=old")
    assert other.headers["cache-control"] == "no-cache"
    assert other.headers["content-type"].startswith("text/css")


def test_health_says_whether_the_daemon_answers(world) -> None:
    """Health is good while the daemon answers, and tells since when it runs."""
    answer = world.visitor.get("/health")
    health = json.loads(answer.text)
    assert (answer.status, health["status"]) == (200, "ok")
    assert health["daemon"] == {
        "answers": True,
        "seconds_since_answer": 0,
        "seconds_since_start": 60,
        "release": "memory",
        "healthy": True,
    }
    assert health["signups_open"] is True
    assert health["seconds_since_start"] == 0


def test_health_of_a_whole_whose_daemon_is_dead(world) -> None:
    """A daemon may be silent while it restarts; then a check from outside sees it."""
    world.visitor.get("/health")
    world.desk.down = True
    world.clock.advance(LONGEST_SILENCE - 1)
    answer = world.visitor.get("/health")
    health = json.loads(answer.text)
    assert answer.status == 200
    assert health["daemon"]["answers"] is False
    assert health["daemon"]["seconds_since_answer"] == LONGEST_SILENCE - 1
    assert health["signups_open"] is None
    world.clock.advance(10)
    answer = world.visitor.get("/health")
    assert (answer.status, json.loads(answer.text)["status"]) == (503, "failing")
    assert world.visitor.ask("HEAD", "/health").status == 503
    assert world.visitor.get("/health/site").status == 200
    assert world.visitor.get("/health/site").text == answer.text


def test_health_of_a_daemon_that_cannot_work(world) -> None:
    """What the daemon says of itself is seen from outside."""
    world.desk.healthy = False
    answer = world.visitor.get("/health")
    assert answer.status == 503
    assert json.loads(answer.text)["daemon"]["healthy"] is False


def test_a_site_that_never_heard_of_a_daemon_is_not_healthy(worlds) -> None:
    """At the start, too, silence is not taken for health."""
    world = worlds()
    world.desk.down = True
    answer = world.visitor.get("/health")
    assert answer.status == 503
    assert json.loads(answer.text)["daemon"]["seconds_since_answer"] is None


def test_the_daemons_silence_is_known_from_its_beginning(world) -> None:
    """The site asks by itself, so the first who looks hears how long it has been."""
    asking = DaemonPoll(world.clock, world.parts.daemon)
    asking.startService()
    for _ in range(30):
        world.clock.advance(10)
    world.desk.down = True
    world.clock.advance(10)
    answer = world.visitor.get("/health")
    assert answer.status == 200
    assert json.loads(answer.text)["daemon"]["seconds_since_answer"] == 10
    asking.stopService()
    world.clock.advance(LONGEST_SILENCE)
    assert world.visitor.get("/health").status == 503


def test_health_costs_the_daemon_nothing_more(world) -> None:
    """However often health is asked for, the daemon is asked every few seconds."""
    world.visitor.get("/health")
    world.desk.down = True
    world.clock.advance(2)
    assert json.loads(world.visitor.get("/health").text)["daemon"]["answers"] is True
    world.clock.advance(2)
    assert json.loads(world.visitor.get("/health").text)["daemon"]["answers"] is False


def test_a_daemon_that_connects_is_asked_anew(world) -> None:
    """What is known of the daemon before does not stand for the one that comes."""
    world.desk.down = True
    assert json.loads(world.visitor.get("/health").text)["daemon"]["answers"] is False
    world.desk.down = False
    world.parts.daemon.forget()
    told = json.loads(world.visitor.get("/health").text)["daemon"]
    assert (told["answers"], told["healthy"]) == (True, True)
    world.desk.healthy = False
    world.parts.daemon.forget()
    told = json.loads(world.visitor.get("/health").text)["daemon"]
    assert told["healthy"] is False


def test_with_the_daemon_down_the_pages_are_served_and_honest(world) -> None:
    """The landing page and the form say that signing up does not work now."""
    world.desk.down = True
    for path in ("/", "/signup"):
        answer = world.visitor.get(path)
        assert answer.status == 200
        assert "You cannot sign up at the moment" in answer.text
    assert world.visitor.get("/join").status == 200


def test_a_demonstration_says_so(worlds) -> None:
    """Only production asks for real money, so everything else says that it does not."""
    assert "No real money" in worlds(environment="local").visitor.get("/").text
    assert "No real money" not in worlds(environment="production").visitor.get("/").text


def test_the_log_has_no_query(world) -> None:
    """What stands in a query is not logged."""
    from twisted.logger import formatEvent, globalLogPublisher  # noqa: PLC0415

    lines: list[str] = []

    def keep(event: dict) -> None:
        lines.append(str(formatEvent(event)))

    globalLogPublisher.addObserver(keep)
    world.visitor.get("/signup?plan=hush-hush")
    globalLogPublisher.removeObserver(keep)
    assert "GET /signup 200" in lines
    assert "hush" not in "".join(lines)

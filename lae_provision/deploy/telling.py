"""What ``lae deploy`` tells people."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import yaml
from attrs import define

from lae_provision.deploy import layout
from lae_provision.deploy.engine import words
from lae_provision.deploy.history import Entry, as_json
from lae_provision.deploy.intent import Intent, ReleaseId
from lae_provision.deploy.plan import Observed
from lae_provision.deploy.preparing import Put
from lae_provision.deploy.remote import Remote

__all__ = ["OUTCOMES", "words"]

VERSION = 1
OUTCOMES = {
    "done": "done",
    "given-up": "given up; nothing was switched",
    "rolled-back": "failed, and rolled back: the release before runs again",
    "stuck": "stuck",
}


def status(
    seen: Observed, intent: Intent | None, entries: list[Entry]
) -> dict[str, Any]:
    """For programs: one object."""
    return {
        "version": VERSION,
        "current": seen.current,
        "daemon": seen.daemon,
        "sites": {str(n): release for n, release in seen.sites},
        "installed": list(seen.installed),
        "unfinished": None
        if intent is None
        else {"kind": intent.order.kind, "release": intent.order.target}
        | {"who": intent.order.who, "began": intent.order.began.isoformat()},
        "last": as_json(entries[-1]) if entries else None,
    }


def status_text(host: str, told: dict[str, Any]) -> str:
    """For people."""
    if told["current"] is None:
        return f"S4 is not installed on {host}."
    lines = [f"On {host}:", f"  current  {told['current']}"]
    processes = {"daemon": told["daemon"]}
    processes |= {f"site {n}": release for n, release in told["sites"].items()}
    for name, release in processes.items():
        differs = "" if release == told["current"] else "   <- not the current one"
        lines.append(f"  {name:<7}  {release or 'not running'}{differs}")
    others = [r for r in told["installed"] if r != told["current"]]
    lines.append(f"  besides  {', '.join(others) or 'no other release'}")
    if told["unfinished"]:
        one = told["unfinished"]
        lines.append(
            f"  unfinished: {one['kind']} of {one['release']} by {one['who']},"
            f" begun {one['began'][:19]}: lae deploy resume"
        )
    if told["last"]:
        last = told["last"]
        lines.append(
            f"  last     {last['kind']} {last['outcome']} {last['ended'][:19]} by"
            f" {last['who']}"
        )
    return "\n".join(lines)


def history_text(host: str, entries: list[Entry]) -> str:
    """For people, newest last; each fits 80 columns but for its reason."""
    if not entries:
        return f"Nothing was ever deployed to {host}."
    lines = []
    for e in entries:
        lines.append(
            f"{e.number:>4}  {e.ended:%Y-%m-%d %H:%M}  {e.kind:<8}  {e.outcome:<11} "
            f" {e.release}"
        )
        lines.append(f"      by {e.who}, commit {e.commit[:12]}")
        if e.untested:
            lines.append(f"      untested: {e.untested}")
        if e.why:
            lines.append(f"      {e.why}")
    return "\n".join(lines)


def commit_of(remote: Remote, release: ReleaseId) -> str:
    """The commit that an installed release says it is of."""
    data = remote.read(layout.mark(release))
    return str(json.loads(data)["commit"]) if data else ""


def preparation(host: str, files: list[Put], sites: int) -> str:
    """What is done to an empty host, before the release."""
    lines = [
        f"make the users {layout.DAEMON_USER} and {layout.SITE_USER} on {host}",
        f"make the folders {layout.BASE} and {layout.SETTINGS}",
        *(f"put {f.target} ({f.owner}:{f.group} {f.mode:04o})" for f in files),
        f"enable the daemon, {sites} copies of the site, their socket, nightly copies",
    ]
    return "\n".join(lines)


@define(frozen=True)
class Facts:
    """What the settings on the host say of the world around them."""

    daemon: dict[str, Any]
    site: dict[str, Any]


def facts_of(remote: Remote) -> Facts:
    """Read them."""
    told = [
        yaml.safe_load(remote.read(path) or b"") or {}
        for path in (layout.DAEMON_SETTINGS, layout.SITE_SETTINGS)
    ]
    return Facts(*told)


def still_to_do(facts: Facts) -> str:
    """What no command can do for its operator, with the names of this deployment."""
    daemon, site = facts.daemon, facts.site
    url = str(site.get("site_url", ""))
    name = urlsplit(url).hostname or "the site's name"
    aws = daemon.get("aws", {})
    cell = (daemon.get("cells") or [{}])[0]
    hosts = daemon.get("hosts_tub", {}).get("location", "")
    state = daemon.get("state", "")
    return f"""
Still to be done, if it is not:
  DNS           {name} leads to this host, or to the proxy before it
                {hosts} can be reached from the customers' hosts
                *.{cell.get("dns_zone")} is a wildcard record in Route 53
  Certificates  a proxy ends TLS for {name}, and does not buffer
                /signup/*/events; "proxies" in site.yaml says how many there are
  Stripe        a webhook endpoint at {url}/webhook/stripe, its
                signing secret in site.yaml; a price for each plan
  AWS           in account {aws.get("account")}: the state bucket
                {aws.get("state_bucket")}, the sealing key, the boundary of
                hosts' roles, subnet and security groups; quotas
  Operators     {state}/operator.furl is the first operator's: have it
                as ~/.config/s4/operator.furl (mode 0600) where lae is used
  Copies        {state}/backups gets one each night: take them elsewhere
"""

"""The output of ``lae deploy``."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import yaml
from attrs import define

from lae_provision.deploy import layout
from lae_provision.deploy.engine import describe
from lae_provision.deploy.history import Entry, as_json
from lae_provision.deploy.intent import Intent, ReleaseId
from lae_provision.deploy.plan import Observed
from lae_provision.deploy.preparing import SettingsFile
from lae_provision.deploy.remote import Remote

__all__ = ["OUTCOMES", "describe"]

VERSION = 1
OUTCOMES = {
    "done": "done",
    "given-up": "given up; the old release still runs",
    "rolled-back": "failed and rolled back: the previous release runs again",
    "stuck": "stuck",
}


def status(
    seen: Observed, intent: Intent | None, entries: list[Entry]
) -> dict[str, Any]:
    """Describe a host as one JSON object, for programs."""
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
    """Describe a host, for people."""
    if told["current"] is None:
        return f"S4 is not installed on {host}."
    lines = [f"On {host}:", f"  current  {told['current']}"]
    processes = {"daemon": told["daemon"]}
    processes |= {f"site {n}": release for n, release in told["sites"].items()}
    for name, release in processes.items():
        differs = "" if release == told["current"] else "   <- not the current one"
        lines.append(f"  {name:<7}  {release or 'not running'}{differs}")
    others = [r for r in told["installed"] if r != told["current"]]
    lines.append(f"  others   {', '.join(others) or 'no other release'}")
    if told["unfinished"]:
        one = told["unfinished"]
        lines.append(
            f"  unfinished: {one['kind']} of {one['release']} by {one['who']},"
            f" begun {one['began'][:19]}; finish it with lae deploy resume"
        )
    if told["last"]:
        last = told["last"]
        lines.append(
            f"  last     {last['kind']} {last['outcome']} {last['ended'][:19]} by"
            f" {last['who']}"
        )
    return "\n".join(lines)


def history_text(host: str, entries: list[Entry]) -> str:
    """Describe the history, newest last; all but the reasons fit 80 columns."""
    if not entries:
        return f"Nothing has been deployed to {host} yet."
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
    """Read the commit of an installed release."""
    data = remote.read(layout.mark(release))
    return str(json.loads(data)["commit"]) if data else ""


def preparation_text(host: str, files: list[SettingsFile], sites: int) -> str:
    """Describe what is done to an empty host before the release."""
    lines = [
        f"make the users {layout.DAEMON_USER} and {layout.SITE_USER} on {host}",
        f"make the folders {layout.BASE} and {layout.SETTINGS}",
        *(f"put {f.target} ({f.owner}:{f.group} {f.mode:04o})" for f in files),
        f"enable the daemon, {sites} copies of the site, their socket, the backup",
    ]
    return "\n".join(lines)


@define(frozen=True)
class Facts:
    """The settings on the host."""

    daemon: dict[str, Any]
    site: dict[str, Any]


def read_facts(remote: Remote) -> Facts:
    """Read the settings on the host."""
    told = [
        yaml.safe_load(remote.read(path) or b"") or {}
        for path in (layout.DAEMON_SETTINGS, layout.SITE_SETTINGS)
    ]
    return Facts(*told)


def manual_steps_text(facts: Facts) -> str:
    """List what an operator must do by hand, with this deployment's names."""
    daemon, site = facts.daemon, facts.site
    url = str(site.get("site_url", ""))
    name = urlsplit(url).hostname or "the site's name"
    aws = daemon.get("aws", {})
    cell = (daemon.get("cells") or [{}])[0]
    hosts = daemon.get("hosts_tub", {}).get("location", "")
    state = daemon.get("state", "")
    return f"""
Make sure that all of this is done:
  DNS           {name} resolves to this host, or to its proxy
                {hosts} can be reached from the customers' hosts
                *.{cell.get("dns_zone")} is a wildcard record in Route 53
  Certificates  a proxy terminates TLS for {name} (nginx/s4.conf beside
                the example settings); "proxies" in site.yaml says how many
  Stripe        a webhook endpoint at {url}/webhook/stripe, its
                signing secret in site.yaml; a price for each plan
  AWS           in account {aws.get("account")}: the state bucket
                {aws.get("state_bucket")}, the sealing key, the boundary of
                hosts' roles, subnet and security groups; quotas
  Operators     {state}/operator.furl is the first operator's: copy it
                to ~/.config/s4/operator.furl (mode 0600) where lae is used
  Backup        the bucket that backup.bucket names, versioned; keep the
                recovery key offline, and try a drill
"""

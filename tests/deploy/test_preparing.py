"""An operator's folder of settings, as it will lie on the host."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lae_provision.deploy.preparing import NotReady, list_files

DAEMON = """\
process: daemon
stripe: {api_keys: {folder: /etc/s4/stripe-keys}}
mail: {password: {file: secrets/smtp.password}, trust_root: ca.pem}
aws: {access_key: {env: KEY}}
"""
SITE = """\
process: site
front_desk_furl: {file: front-desk.furl}
cookie_keys: {folder: keys/cookie}
webhook_secrets: {folder: /elsewhere/webhook}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Good settings."""
    for name in ("secrets", "stripe-keys", "keys/cookie"):
        (tmp_path / name).mkdir(parents=True)
    for name, text, mode in (
        ("daemon.yaml", DAEMON, 0o600),
        ("site.yaml", SITE, 0o600),
        ("plans.yaml", "plans: []\n", 0o644),
        ("ca.pem", "PEM", 0o644),
        ("stripe-keys/0001.key", "k", 0o600),
        ("keys/cookie/0001.key", "k", 0o600),
        ("keys/cookie/0002.next", "k", 0o600),
        ("secrets/smtp.password", "k", 0o600),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    return tmp_path


def test_each_file_gets_its_owner(folder: Path) -> None:
    """Secrets are their process's alone, settings can be read by it, the rest by all."""
    found = {p.target: (p.owner, p.group, p.mode) for p in list_files(folder)}
    assert found == {
        "/etc/s4/daemon.yaml": ("root", "s4-daemon", 0o640),
        "/etc/s4/site.yaml": ("root", "s4-site", 0o640),
        "/etc/s4/plans.yaml": ("root", "root", 0o644),
        "/etc/s4/ca.pem": ("root", "root", 0o644),
        "/etc/s4/stripe-keys/0001.key": ("s4-daemon", "s4-daemon", 0o600),
        "/etc/s4/keys/cookie/0001.key": ("s4-site", "s4-site", 0o600),
        "/etc/s4/keys/cookie/0002.next": ("s4-site", "s4-site", 0o600),
        "/etc/s4/secrets/smtp.password": ("s4-daemon", "s4-daemon", 0o600),
    }


def test_a_secret_that_nobody_names_is_refused(folder: Path) -> None:
    """A private file would become everybody's or nobody's: neither is done."""
    (folder / "forgotten.key").touch(0o600)
    with pytest.raises(NotReady, match=r"forgotten\.key: it is private"):
        list_files(folder)


def test_a_secret_of_both_is_refused(folder: Path) -> None:
    """The site may not have what the daemon has."""
    path = folder / "site.yaml"
    path.write_text(SITE.replace("keys/cookie", "stripe-keys"))
    shutil.rmtree(folder / "keys")
    with pytest.raises(NotReady, match="both the daemon and the site"):
        list_files(folder)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("site.yaml", None, "site.yaml: No such file"),
        ("daemon.yaml", "a: [", "daemon.yaml: not YAML"),
        ("daemon.yaml", "- a\n", "keys with values"),
    ],
)
def test_settings_that_cannot_be_read_are_one_line(folder, name, text, says) -> None:
    """A missing or broken file is named."""
    path = folder / name
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(NotReady, match=says) as caught:
        list_files(folder)
    assert "\n" not in str(caught.value)

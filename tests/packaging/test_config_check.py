"""``lae config check`` of an installed S4, on the examples that we ship."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from attrs import define

FURL = "pb://" + "a" * 32 + "@flapp.example.org:4001/"


def secret(path: Path, text: str) -> None:
    """A file for its owner alone."""
    path.write_text(text)
    path.chmod(0o600)


@define(frozen=True)
class Site:
    """The shipped example for production, with its secrets in a folder of ours."""

    installed: Any
    folder: Path

    @property
    def file(self) -> Path:
        """The settings."""
        return self.folder / "site.yaml"

    def change(self, before: str, after: str) -> int:
        """Change the settings; the number of the line changed."""
        text = self.file.read_text()
        assert before in text
        self.file.write_text(text.replace(before, after))
        return text[: text.index(before)].count("\n") + 1

    def check(self) -> subprocess.CompletedProcess[str]:
        """Run the command."""
        done = self.installed.run("lae", "config", "check", self.file)
        assert "Traceback" not in done.stderr
        return done

    def complaint(self) -> str:
        """What the command says of a bad file, in one line."""
        done = self.check()
        assert done.returncode == 1
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        return line


@pytest.fixture
def site(installed: Any, tmp_path: Path) -> Site:
    """A good file."""
    examples = installed.source / "config"
    text = (examples / "site.example.yaml").read_text()
    (tmp_path / "site.yaml").write_text(text.replace("/etc/s4", str(tmp_path)))
    (tmp_path / "plans.yaml").write_text((examples / "plans.yaml").read_text())
    secret(tmp_path / "front-desk.furl", FURL + "f" + "a" * 52)
    for name, text in (("webhook-secrets", "whsec_example"), ("cookie-keys", "k" * 64)):
        (tmp_path / name).mkdir()
        secret(tmp_path / name / "0001.key", text)
    return Site(installed, tmp_path)


def test_the_example_is_good(site: Site) -> None:
    """The example for production is good once its secrets are there."""
    done = site.check()
    assert (done.returncode, done.stderr) == (0, "")
    assert "good (3 secrets, all readable)" in done.stdout


def test_typo(site: Site) -> None:
    """A key that is not known is named with its line, and with the one that is."""
    line = site.change("\nsupport_email:", "\nsuport_email:") + 1
    said = site.complaint()
    assert f"{site.file}:{line}:" in said
    assert "suport_email" in said
    assert "did you mean 'support_email'" in said


def test_furl_of_a_wrong_kind(site: Site) -> None:
    """An operator's furl in the front desk's place is named, and is not shown."""
    secret(site.folder / "front-desk.furl", FURL + "o" + "a" * 52)
    said = site.complaint()
    assert "the front desk's furl" in said
    assert "an operator's furl" in said
    assert "aaaa" not in said


def test_secret_that_is_not_there(site: Site) -> None:
    """A file that the settings name and that is missing is named, and so is a folder
    without a key, with a file that is none, and one that is missing.
    """
    keys = site.folder / "cookie-keys"
    (keys / "0001.key").rename(keys / "0001.key~")
    assert f"{keys}/0001.key~: this is no name of a key" in site.complaint()
    (keys / "0001.key~").unlink()
    assert f"{keys}: there is no key in it" in site.complaint()
    keys.rmdir()
    assert f"{keys}: No such file" in site.complaint()
    (site.folder / "front-desk.furl").unlink()
    assert str(site.folder / "front-desk.furl") in site.complaint()


def test_secret_that_others_can_read(site: Site) -> None:
    """A secret that others can read is refused."""
    key = site.folder / "cookie-keys" / "0001.key"
    key.chmod(0o644)
    assert f"{key}: others can read it" in site.complaint()


def test_no_such_file(site: Site) -> None:
    """Settings that are not there are named."""
    site.file.unlink()
    assert site.complaint() == f"Error: {site.file}: No such file or directory"


def test_unknown_process(site: Site) -> None:
    """A file for no process of ours is told which there are."""
    site.change("process: site", "process: sight")
    assert "must be one of daemon, node, operator, site" in site.complaint()

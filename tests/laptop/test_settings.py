"""The settings of ``lae``, and the examples that it prints."""

from __future__ import annotations

import pytest

from lae_protocol.process.resources import config_folder
from tests.laptop.conftest import Place


@pytest.mark.parametrize(
    ("process", "file"),
    [
        ("daemon", "daemon.example.yaml"),
        ("site", "site.example.yaml"),
        ("operator", "lae.example.yaml"),
        ("plans", "plans.yaml"),
        ("prices", "prices.yaml"),
    ],
)
def test_examples(place: Place, process: str, file: str) -> None:
    """Each example is printed as it is shipped, to be written into a file."""
    told = place.lae("config", "example", process)
    assert told.output == (config_folder() / file).read_text("utf-8")


def test_checking_the_example(place: Place, tmp_path) -> None:
    """The operator's example is good once its furl is there, and not before."""
    text = (config_folder() / "lae.example.yaml").read_text("utf-8")
    path, furl = tmp_path / "lae.yaml", tmp_path / "operator.furl"
    path.write_text(text.replace("~/.config/s4/operator.furl", str(furl)))
    told = place.lae("config", "check", path)
    assert (told.exit_code, str(furl) in told.output) == (1, True)
    furl.write_text(f"pb://{'a' * 32}@flapp.example.org:4001/o{'a' * 52}\n")
    furl.chmod(0o600)
    told = place.lae("config", "check", path)
    assert (told.exit_code, "1 secrets, all readable" in told.output) == (0, True)
    path.write_text("process: operator\naddress: nowhere\n")
    told = place.lae("config", "check", path)
    assert (told.exit_code, "HOST:PORT is expected" in told.output) == (1, True)

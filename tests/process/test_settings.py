"""Settings are read strictly, and every mistake is told with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from attrs import define, field

from lae_protocol.process.settings import SecretSource, SettingsError, load


@define(frozen=True)
class Mail:
    host: str
    port: int = 25
    keys: tuple[SecretSource, ...] = ()


@define(frozen=True)
class Example:
    process: Literal["example"]
    mail: Mail
    folder: Path
    ratio: float = 1.0
    open: bool = True
    endpoint: str | None = None
    words: tuple[str, ...] = field(default=())

    def __attrs_post_init__(self) -> None:
        if self.ratio < 0:
            raise ValueError("ratio must not be negative")


GOOD = """\
process: example
mail:
  host: localhost
  port: 2525
  keys: [{file: key}, {env: S4_TEST_KEY}]
folder: state
ratio: 2
endpoint: null
words: [a, "1"]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "example.yaml"
    path.write_text(text)
    return path


def test_good(tmp_path: Path) -> None:
    """A good file becomes the typed value, with paths relative to the file."""
    read = load(written(tmp_path, GOOD), Example)
    assert read == Example(
        process="example",
        mail=Mail("localhost", 2525, read.mail.keys),
        folder=tmp_path / "state",
        ratio=2.0,
        words=("a", "1"),
    )
    assert [s.env for s in read.mail.keys] == [None, "S4_TEST_KEY"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            ("host: localhost", "hots: localhost"),
            ":3: unknown key 'hots' in mail; did you mean 'host'?",
        ),
        (("  host: localhost\n", ""), ":3: mail lacks the key 'host'"),
        (("port: 2525", "port: many"), ":4: port: a whole number is expected"),
        (("port: 2525", "port: true"), ":4: port: a whole number is expected"),
        (("host: localhost", "host: 7"), ":3: host: a text is expected"),
        (("ratio: 2", "ratio: -2"), ":1: the file: ratio must not be negative"),
        (
            ("process: example", "process: site"),
            ":1: process: 'site' is none of 'example'",
        ),
        (('words: [a, "1"]', "words: a"), ":9: words: a list is expected"),
        (("ratio: 2", "folder: there"), ":7: 'folder' stands twice in the file"),
        (
            ("{file: key}", "{file: key, env: KEY}"),
            ":5: keys[0]: a secret needs either file: or env:",
        ),
        (("folder: state", "folder: [unclosed"), ":7: not YAML:"),
        (("mail:\n", "mail: 3\nmore:\n"), ":2: mail: keys with values are expected"),
    ],
)
def test_mistakes(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    """Each mistake is told with the file, its line and what to do."""
    assert change[0] in GOOD
    path = written(tmp_path, GOOD.replace(*change))
    with pytest.raises(SettingsError) as e:
        load(path, Example)
    assert f"{path}{told}" in str(e.value)


def test_no_file(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(SettingsError, match=r"nowhere\.yaml: No such file"):
        load(tmp_path / "nowhere.yaml", Example)


def test_secret_of_a_file(tmp_path: Path) -> None:
    """A secret's file is read when it is private and refused when others can read it."""
    path = tmp_path / "key"
    path.write_text("quiet\n")
    path.chmod(0o600)
    assert SecretSource(file=path).read().reveal() == "quiet"
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        SecretSource(file=path).read()
    path.chmod(0o600)
    path.write_text("")
    with pytest.raises(SettingsError, match="empty"):
        SecretSource(file=path).read()


def test_secret_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret may come from the environment, and a missing one is named."""
    monkeypatch.setenv("S4_TEST_KEY", "quiet")
    assert SecretSource(env="S4_TEST_KEY").read().reveal() == "quiet"
    monkeypatch.delenv("S4_TEST_KEY")
    with pytest.raises(SettingsError, match="S4_TEST_KEY is not set"):
        SecretSource(env="S4_TEST_KEY").read()

"""A folder of keys: which are read, in which order, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lae_protocol.process.key_folder import KeyFile, KeyFolder
from lae_protocol.process.settings import SettingsError


def put(folder: Path, *names: str) -> KeyFolder:
    for name in names:
        (folder / name).write_text(f"key {name}\n")
        (folder / name).chmod(0o600)
    return KeyFolder(folder)


def read(folder: KeyFolder) -> list[str]:
    return [key.reveal().removeprefix("key ") for key in folder.read()]


def test_the_highest_number_is_first(tmp_path) -> None:
    """The newest is what its name says, whichever file was written last; a key that
    waits comes after all others, whatever its number.
    """
    folder = put(tmp_path, "0010.key", "0002.key", "0009.key", "0011.next", "0001.next")
    assert read(folder) == [
        *("0010.key", "0009.key", "0002.key"),
        *("0011.next", "0001.next"),
    ]


def test_what_a_container_mounts_beside_them_is_skipped(tmp_path) -> None:
    """Names with a dot at their front are nobody's keys."""
    (tmp_path / "..data").mkdir()
    assert read(put(tmp_path, "0001.key", ".0002.key.new")) == ["0001.key"]


@pytest.mark.parametrize(
    "name",
    [
        "0001.key~",
        "1.key",
        "00001.key",
        "0001.pem",
        "README",
        "0001.key.new",
        "x0001.key",
    ],
)
def test_a_stray_file_is_refused(tmp_path, name) -> None:
    """What is no key's name is named, so that a key with a slip in its name is missed."""
    with pytest.raises(SettingsError, match=f"/{name}: this is no name of a key"):
        put(tmp_path, "0001.key", name).read()


def test_two_of_one_number_are_refused(tmp_path) -> None:
    """A key and one that waits cannot have the same number."""
    with pytest.raises(SettingsError, match="two keys have the number 0001"):
        put(tmp_path, "0001.key", "0001.next").read()


@pytest.mark.parametrize("names", [(), ("0001.next",)])
def test_a_folder_without_a_key_is_refused(tmp_path, names) -> None:
    """There must be one that seals or signs."""
    folder = put(tmp_path, *names)
    with pytest.raises(SettingsError, match="there is no key in it"):
        folder.read()
    assert len(folder.listed()) == len(names)


def test_each_file_is_private(tmp_path) -> None:
    """One key that others can read is enough to be refused, as is an empty one, and one
    that is no text.
    """
    folder = put(tmp_path, "0001.key", "0002.key")
    (tmp_path / "0001.key").chmod(0o640)
    with pytest.raises(SettingsError, match=r"0001\.key: others can read it"):
        folder.read()
    (tmp_path / "0001.key").chmod(0o600)
    (tmp_path / "0001.key").write_text(" \n")
    with pytest.raises(SettingsError, match=r"0001\.key: it is empty"):
        folder.read()
    (tmp_path / "0001.key").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"0001\.key: not UTF-8 text"):
        folder.read()


def test_no_such_folder(tmp_path) -> None:
    """It is named."""
    with pytest.raises(SettingsError, match="away: No such file"):
        KeyFolder(tmp_path / "away").read()


@given(st.sets(st.integers(0, 9999), min_size=1, max_size=8), st.data())
def test_order(tmp_path_factory, numbers, data) -> None:
    """For any numbers: those in use from the highest on, then those that wait."""
    waits = {number: data.draw(st.booleans()) for number in numbers}
    folder = tmp_path_factory.mktemp("keys")
    names = [f"{n:04}.{'next' if waits[n] else 'key'}" for n in numbers]
    found = put(folder, *names).listed()
    used = sorted((n for n in numbers if not waits[n]), reverse=True)
    waiting = sorted((n for n in numbers if waits[n]), reverse=True)
    assert [file.number for file in found] == used + waiting
    assert all(isinstance(file, KeyFile) for file in found)

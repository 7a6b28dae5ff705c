"""A layer is the same bytes each time, and holds what its folder has beyond others."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from lae_provision.images.layers import Below, look, make_layer, unpack_layer
from lae_provision.images.recipe import EPOCH, NotBuildable

NOTHING = Below({})


def fill(folder: Path, *, backwards: bool = False) -> Path:
    """A small tree, whose files are made in one order or the other."""
    names = ["a/one", "a/two", "b"]
    for name in reversed(names) if backwards else names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "a" / "run").write_text("#!")
    (folder / "a" / "run").chmod(0o4751)
    (folder / "link").symlink_to("a/one")
    return folder


def test_a_layer_depends_on_names_and_contents_alone(tmp_path: Path) -> None:
    """Another order, other times, modes and owners give the same digests."""
    one = fill(tmp_path / "one")
    two = fill(tmp_path / "two", backwards=True)
    os.utime(two / "b", (1, 1))
    (two / "b").chmod(0o600)
    (two / "a").chmod(0o700)
    made = [make_layer(f, NOTHING, tmp_path / f"{f.name}.gz") for f in (one, two)]
    assert made[0].digest == made[1].digest
    assert made[0].diff_id == made[1].diff_id
    (two / "b").write_text("other")
    other = make_layer(two, NOTHING, tmp_path / "other.gz")
    assert other.diff_id != made[0].diff_id


def test_everything_belongs_to_root_and_nothing_becomes_root(tmp_path: Path) -> None:
    """Entries are sorted, of one time, of root's, and without setuid bits."""
    layer = make_layer(fill(tmp_path / "one"), NOTHING, tmp_path / "layer")
    with tarfile.open(layer.file) as archive:
        entries = archive.getmembers()
    assert [e.name for e in entries] == sorted(e.name for e in entries)
    assert {e.mtime for e in entries} == {EPOCH}
    assert {(e.uid, e.gid, e.uname, e.gname) for e in entries} == {(0, 0, "", "")}
    modes = {e.name: e.mode for e in entries if not e.issym()}
    assert modes == {"a": 0o755, "a/one": 0o644, "a/two": 0o644, "a/run": 0o755} | {
        "b": 0o644
    }


def test_a_layer_has_what_is_new_and_the_way_there(tmp_path: Path) -> None:
    """What a layer below has is not in it again; its folders are, for their modes."""
    root = fill(tmp_path / "root")
    below = look(root)
    (root / "a" / "new").write_text("new")
    layer = make_layer(root, below, tmp_path / "layer")
    with tarfile.open(layer.file) as archive:
        assert archive.getnames() == ["a", "a/new"]
    unpack_layer(layer.file, tmp_path / "out")
    assert (tmp_path / "out/a/new").read_text() == "new"


def test_a_file_of_a_layer_below_may_not_change(tmp_path: Path) -> None:
    """It would be in two layers, and the one below would not be what it says."""
    root = fill(tmp_path / "root")
    below = look(root)
    (root / "b").write_text("something else")
    with pytest.raises(NotBuildable, match="b changed"):
        make_layer(root, below, tmp_path / "layer")


def test_twisteds_cache_of_plugins_is_newer_than_plugins(tmp_path: Path) -> None:
    """Otherwise Twisted would make it anew at each start, and could not write it."""
    (tmp_path / "root").mkdir()
    for name in ("dropin.cache", "plugin.py"):
        (tmp_path / "root" / name).write_text("")
    layer = make_layer(tmp_path / "root", NOTHING, tmp_path / "layer")
    with tarfile.open(layer.file) as archive:
        times = {e.name: e.mtime for e in archive}
    assert times["dropin.cache"] > times["plugin.py"]


def test_a_socket_makes_no_layer(tmp_path: Path) -> None:
    """What is neither file, folder nor link is refused by its name."""
    (tmp_path / "root").mkdir()
    os.mkfifo(tmp_path / "root" / "pipe")
    with pytest.raises(NotBuildable, match="pipe is neither"):
        make_layer(tmp_path / "root", NOTHING, tmp_path / "layer")

"""The instances' root file system is made once, whole, and by one at a time."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Barrier, Thread

import pytest

from lae_localcloud.metal import root


def test_two_makers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of two that need it at the same time one makes it, and both have it."""
    made: list[Path] = []
    together = Barrier(2)

    def make(target: Path) -> None:
        made.append(target)
        time.sleep(0.1)
        target.mkdir()

    monkeypatch.setattr(root, "_make", make)
    got: list[Path] = []

    def need() -> None:
        together.wait()
        got.append(root.make_root(lambda _: None, tmp_path))

    threads = [Thread(target=need) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert got == [made[0]] * 2


def test_half_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One whose making was broken off is never used: it is made again."""

    class Broken(Exception):
        pass

    def breaks(argv: list[str], **_: object) -> None:
        Path(argv[-2], "etc").mkdir(parents=True)
        raise Broken

    monkeypatch.setattr(root.subprocess, "run", breaks)
    for _ in range(2):
        with pytest.raises(Broken):
            root.make_root(lambda _: None, tmp_path)
    assert not (tmp_path / f"root-{root.recipe_hash()}").exists()


def test_recipe_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another list of packages is another root."""
    before = root.recipe_hash()
    monkeypatch.setattr(root, "PACKAGES", (*root.PACKAGES, "more"))
    assert root.recipe_hash() != before

"""What ``lae volume`` says."""

from __future__ import annotations

import json
import typing

from attrs import fields

from lae_flapp.account.volume_words import as_json, told, volume_lines
from lae_provision.volumes import volume_plan
from lae_provision.volumes.seen_volume import SeenAttachment, SeenModification
from lae_provision.volumes.volume_plan import CreateSnapshot, CreateVolume
from tests.volumes.world import NOW, sight, snapshot, volume


def test_each_step_names_its_call() -> None:
    """A dry run names the call of EC2 for each step, and everything that the call is
    about.
    """
    for kind in typing.get_args(volume_plan.Step):
        made = kind(*(f"<{f.name}>" for f in fields(kind)))
        said = told(made)
        assert said[0] in "+~-", kind
        assert "ec2:" in said, kind
        for field in fields(kind):
            if kind is not CreateSnapshot and field.name not in ("run", "token"):
                assert f"<{field.name}>" in said or field.name == "run", kind
    assert "s4:run=R" in told(CreateSnapshot("vol-1", run="R"))
    assert "s4:slot=S" in told(CreateSnapshot("vol-1", slot="S"))
    assert "encrypted" in told(CreateVolume("a", 20, None, "token"))


def test_what_there_is() -> None:
    """The volume, its machine, a change of its size, a move, and its copies."""
    seen = sight(
        volume(
            state="in-use",
            attachment=SeenAttachment("i-old", "attached", "/dev/sdf"),
            modification=SeenModification("optimizing", 40, NOW),
            moving="20261130T200000Z",
        ),
        snapshots=(
            snapshot("snap-1", 1, slot="20261130T000000Z"),
            snapshot("snap-2", 0, slot="x", state="pending", progress=40),
            snapshot("snap-m", 1, run="20261130T200000Z"),
        ),
    )
    lines = volume_lines(seen)
    assert lines[0].startswith("vol-1  20 GiB  in-use  a  encrypted")
    assert lines[1] == "  attached at i-old (running) as /dev/sdf"
    assert "optimizing, to 40 GiB" in lines[2]
    assert "lae volume move goes on" in lines[3]
    assert [line.split()[0] for line in lines[4:]] == ["snap-1", "snap-2"]
    assert "pending 40 %" in lines[5]
    assert volume_lines(sight()) == ["There is no volume."]
    assert "NOT ENCRYPTED" in volume_lines(sight(volume(encrypted=False)))[0]
    held = json.loads(json.dumps(as_json(seen)))
    assert held["volumes"][0]["instance"] == "i-old"
    assert [s["snapshot"] for s in held["snapshots"]] == ["snap-1", "snap-2", "snap-m"]

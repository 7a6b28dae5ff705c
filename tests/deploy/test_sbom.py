"""The list of what a release consists of is what is installed, and can be read."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from importlib import metadata

import pytest

from lae_provision.deploy.on_host import sbom
from tests.deploy.machine import ROOT
from tests.supply.pins import read_pins

_HASHED = ROOT / "requirements" / "tests.txt"


@pytest.fixture(scope="module")
def bill() -> dict:
    """As a host's Python prints it; here it is the tests' Python."""
    program = ROOT / "lae_provision/deploy/on_host/sbom.py"
    done = subprocess.run(
        [sys.executable, "-", str(_HASHED)],
        input=program.read_text("utf-8"),
        capture_output=True,
        text=True,
        check=True,
    )
    told: dict = json.loads(done.stdout)
    return told


def test_the_bill_lists_what_is_installed(bill: dict) -> None:
    """Every installed package is listed once with its version, and no other; S4 is what
    the list is about.
    """
    listed = {
        c["name"]: c["version"] for c in bill["components"] if c["type"] == "library"
    }
    site = [p for p in sys.path if p.endswith("site-packages")]
    there = metadata.distributions(path=site)
    found = {sbom._canonical(d.name): d.version for d in there}
    ours = bill["metadata"]["component"]
    assert (ours["name"], ours["version"]) == ("s4", found.pop("s4"))
    assert listed == found
    assert len(bill["components"]) == len(found) + 1
    (python,) = [c for c in bill["components"] if c["type"] == "platform"]
    assert python["version"] == ".".join(map(str, sys.version_info[:3]))


def test_the_bill_has_the_hashes_that_pip_asked_for(bill: dict) -> None:
    """A package's hashes are those of the requirements, all of them."""
    pins = {p.name: p.hashes for p in read_pins(_HASHED)}
    checked = 0
    for component in bill["components"]:
        if component["name"] in pins:
            given = {f"sha256:{h['content']}" for h in component["hashes"]}
            assert given == pins[component["name"]], component["name"]
            checked += 1
    assert checked > 100


def test_the_bill_is_cyclonedx(bill: dict) -> None:
    """What the schema of CycloneDX 1.6 asks for is there: the fixed words, a serial
    number, unique references, and dependencies between what is listed.
    """
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert re.fullmatch(
        r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", bill["serialNumber"]
    )
    everything = [bill["metadata"]["component"], *bill["components"]]
    refs = [c["bom-ref"] for c in everything]
    assert len(refs) == len(set(refs))
    for component in everything:
        for licence in component.get("licenses", []):
            assert licence.keys() in ({"expression"}, {"license"})
    needs = {d["ref"]: d["dependsOn"] for d in bill["dependencies"]}
    assert needs.keys() | {"python"} == set(refs)
    assert {ref for named in needs.values() for ref in named} <= set(refs)
    twisted = next(ref for ref in refs if ref.startswith("pkg:pypi/twisted@"))
    assert twisted in needs[bill["metadata"]["component"]["bom-ref"]]


def test_the_same_installation_has_the_same_bill(bill: dict) -> None:
    """Nothing in it depends on when or how often it is made."""
    assert sbom.list_components(_HASHED.read_text("utf-8")) == bill


def test_another_installation_has_another_number(bill: dict) -> None:
    """Two lists that differ never share their serial number."""
    other = sbom.list_components(
        "attrs==1 --hash=sha256:" + hashlib.sha256().hexdigest()
    )
    assert other["serialNumber"] != bill["serialNumber"]

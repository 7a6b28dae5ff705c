"""The alert rules: promtool checks and tests them, and the manual explains each."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from docutils import nodes

from lae_flapp.signs.standing import KINDS
from tests.docs.reading import ROOT, parse

RULES = ROOT / "config" / "alerts" / "s4.yaml"
CASES = sorted((ROOT / "tests" / "signs" / "alerts").glob("*.test.yaml"))
MANUAL = ROOT / "docs" / "alerts.rst"
METRICS = ROOT / "docs" / "metrics.rst"
DASHBOARD = ROOT / "config" / "dashboards" / "s4.json"
#: Prometheus' own, and its client's.
_OTHERS = re.compile(r"^(up|process_\w+)$")


def rules() -> dict[str, dict]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def sections(path: Path) -> dict[str, nodes.section]:
    """A document's sections by the anchor that a link names."""
    tree, _ = parse(path)
    return {s["ids"][0]: s for s in tree.findall(nodes.section)}


@pytest.fixture(scope="module")
def promtool() -> str:
    places = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    found = shutil.which("promtool", path=places)
    if found is None:
        pytest.skip("no promtool: make install-tests takes it from Debian's package")
    return found


def ran(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_rules_are_good(promtool) -> None:
    """promtool finds nothing wrong with the rules."""
    done = ran(promtool, "check", "rules", RULES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules())} rules found" in done.stdout


def test_each_alert_is_raised_when_it_should_be(promtool) -> None:
    """promtool's tests of the rules pass."""
    done = ran(promtool, "test", "rules", *CASES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_rule_would_be_found(promtool, tmp_path) -> None:
    """With another threshold the same tests fail."""
    wrong = RULES.read_text().replace("silence_seconds > 60", "silence_seconds > 600")
    (tmp_path / "s4.yaml").write_text(wrong)
    told = yaml.safe_load(CASES[-1].read_text())
    late = [test for test in told["tests"] if "S4DaemonSilent" in test["name"]]
    cases = told | {"rule_files": ["s4.yaml"], "tests": late}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(cases))
    done = ran(promtool, "test", "rules", tmp_path / "test.yaml")
    assert done.returncode == 1
    assert "S4DaemonSilentToSite" in done.stdout + done.stderr


def test_each_alert_is_tested_both_ways() -> None:
    """Of each alert there is a case in which it is raised, and one in which it is not."""
    seen = {
        (case["alertname"], bool(case["exp_alerts"]))
        for path in CASES
        for test in yaml.safe_load(path.read_text())["tests"]
        for case in test["alert_rule_test"]
    }
    assert seen == {(name, raised) for name in rules() for raised in (True, False)}


def test_each_alert_has_its_section_in_the_manual() -> None:
    """The runbook's address names a section that says what goes wrong and what to do;
    and there is no section of an alert that does not exist.
    """
    found = sections(MANUAL)
    for name, rule in rules().items():
        path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert ROOT / path == MANUAL
        assert re.match(
            r"(lae|systemctl|journalctl|timedatectl|uptime) ?",
            (rule["annotations"]["commands"]),
        )
        section = found[anchor]
        assert section[0].astext() == name
        assert "What goes wrong." in section.astext()
        assert "What to do." in section.astext()
        # A cause brings its own.
        brings = name in {"S4Cause", "S4ServiceAway"}
        assert brings or rule["labels"]["severity"] in {"page", "ticket"}
    named = {s[0].astext() for s in found.values() if s[0].astext().startswith("S4")}
    assert named == set(rules()) | {kind.section for kind in KINDS.values()}


def documented() -> set[str]:
    text = METRICS.read_text()
    names = set(re.findall(r"^   \* - ``(\w+)``$", text, re.MULTILINE))
    assert "s4_signups" in names
    ends = ("_bucket", "_sum", "_count")
    return names | {n + end for n in names for end in ends}


def test_rules_and_dashboard_name_metrics_that_exist() -> None:
    """Every metric in a rule or on the dashboard is one of the manual's."""
    asked = [rule["expr"] for rule in rules().values()]
    board = json.loads(DASHBOARD.read_text())
    asked += [t["expr"] for panel in board["panels"] for t in panel.get("targets", ())]
    names = {
        n for expr in asked for n in re.findall(r"\b(?:s4_|process_|up\b)\w*", expr)
    }
    names -= {"process"}
    assert len(names) > 20
    assert {n for n in names if not _OTHERS.match(n)} <= documented()


def test_the_dashboard_has_no_overlaps() -> None:
    """Panels of the dashboard have titles and units, and cover no other."""
    taken = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        assert panel["title"]
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken
        taken |= cells

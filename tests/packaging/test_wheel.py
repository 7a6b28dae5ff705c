"""The wheel works where there is no checkout."""

from __future__ import annotations

from typing import Any

import pytest


def test_every_file_of_ours_is_in_it(installed: Any) -> None:
    """Code, templates, pages, examples and policies are in the wheel; all of them."""
    packages = "lae_protocol", "lae_site", "lae_flapp", "lae_provision", "lae_storage"
    wanted = installed.sources(*packages, "twisted")
    for package, folder in (("lae_templates", "templates"), ("lae_config", "config")):
        wanted |= {s.replace(folder, package, 1) for s in installed.sources(folder)}
    assert len(wanted) > 200
    assert sorted(wanted - installed.members()) == []


def test_nothing_else_is_in_it(installed: Any) -> None:
    """Tests, twins, stand-ins, documents and tools of the checkout are not in it."""
    tops = {m.split("/")[0] for m in installed.members()}
    ours = {"lae_site", "lae_flapp", "lae_provision", "lae_storage", "lae_protocol"}
    data = {"lae_templates", "lae_config"}
    assert {t for t in tops if not t.startswith("s4-")} == ours | data | {"twisted"}
    assert [m for m in installed.members() if "memory" in m or "twin" in m] == []


def test_twistd_knows_the_three_services(installed: Any) -> None:
    """``twistd --help`` lists them, from any folder."""
    said = installed.said("twistd", "--help")
    for name in ("lae-site", "lae-flapp", "lae-node"):
        assert name in said


@pytest.mark.parametrize("service", ["lae-site", "lae-flapp", "lae-node"])
def test_each_service_tells_its_options(installed: Any, service: str) -> None:
    """``twistd SERVICE --help`` names ``--config``."""
    assert "--config" in installed.said("twistd", service, "--help")


@pytest.mark.parametrize("service", ["lae-site", "lae-flapp", "lae-node"])
def test_a_missing_file_is_one_line(installed: Any, service: str) -> None:
    """A service whose settings are not there says so, and where, without a traceback."""
    done = installed.run("twistd", "--nodaemon", "--pidfile=", service, "--config=/no")
    assert done.returncode != 0
    assert "/no: No such file or directory" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_code_comes_from_the_wheel(installed: Any) -> None:
    """The installed code is used, and finds its templates and examples beside it."""
    program = (
        "import lae_site, lae_protocol.process.resources as r;"
        "print(lae_site.__file__); print(r.template_folder()); print(r.config_folder())"
    )
    code, templates, config = installed.said("python", "-c", program).splitlines()
    for found in (code, templates, config):
        assert found.startswith(str(installed.folder))
    assert templates.endswith("/lae_templates")
    assert config.endswith("/lae_config")


def test_lae_tells_its_version_and_its_groups(installed: Any) -> None:
    """``lae --version`` and ``lae --help`` work, and no group lacks anything."""
    assert installed.said("lae", "--version").startswith("lae, version ")
    said = installed.said("lae", "--help")
    for group in ("config", "events", "subscriptions", "txaws"):
        assert group in said
    assert "not installed" not in said

"""One metal cloud for all tests here; each test launches its own instances."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lae_localcloud.metal.requirements import why_not
from tests.end_to_end.stack import Stack
from tests.localcloud.conftest import CloudClients
from tests.metal.instance import Instance, Launcher


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs machines is marked as what needs all of S4: `make check` has no time
    for it.  The first run makes a root file system and an image, which takes minutes.
    """
    here = Path(__file__).parent
    for item in items:
        names = getattr(item, "fixturenames", ())
        if here in item.path.parents and "root_or_skip" in names:
            item.add_marker(pytest.mark.end_to_end)
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def root_or_skip() -> None:
    """Skip, aloud, where instances cannot be machines."""
    reason = why_not()
    if reason is not None:
        pytest.skip(f"the metal level: {reason}")


@pytest.fixture(scope="session")
def stack(
    root_or_skip: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """The cloud alone runs; the rest is started by :func:`whole`."""
    started = Stack.new(tmp_path_factory.mktemp("metal") / "stack", "metal")
    started.start_aws()
    prefix = started.layout.aws_facts()["inside"]["prefix"]
    try:
        yield started
    finally:
        started.stop()
    assert not list(Path("/run/netns").glob(f"{prefix}-*"))


@pytest.fixture(scope="session")
def metal(stack: Stack) -> CloudClients:
    return CloudClients(stack.layout.aws_facts())


@pytest.fixture(scope="session")
def whole(stack: Stack) -> Stack:
    """All of S4: the hosts' image is signed, and the site is open."""
    stack.start_cloud()
    stack.start_daemon(lost_hosts=2, visibility=5)
    stack.start_site()
    stack.until_site_knows(up=True)
    return stack


@pytest.fixture
def launcher(metal: CloudClients) -> Iterator[Launcher]:
    """Launches instances, which end with the test."""
    launching = Launcher(metal)
    yield launching
    launching.end()


@pytest.fixture(scope="session")
def host(metal: CloudClients) -> Iterator[Instance]:
    """One that many tests use: each leaves it running."""
    launching = Launcher(metal)
    yield launching.speaking({"/etc/s4/told": "by Ignition"})
    launching.end()

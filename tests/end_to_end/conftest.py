"""One local cloud and one site for all tests of a run; the daemon is each test's own
to kill.  ``S4_E2E_STATE=DIR`` keeps what the run wrote in DIR.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.stack import Stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What looks through all that the run wrote comes last."""
    here = Path(__file__).parent
    items.sort(
        key=lambda item: here in item.path.parents and "secrets" in item.path.name
    )
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.end_to_end)


@pytest.fixture(scope="session")
def whole_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Started once."""
    chosen = os.environ.get("S4_E2E_STATE")
    stack = Stack.new(Path(chosen) if chosen else tmp_path_factory.mktemp("s4"))
    try:
        stack.start_cloud()
        stack.start_daemon()
        stack.start_site()
        stack.until_site_knows(up=True)
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def stack(whole_stack: Stack) -> Iterator[Stack]:
    """All is well when a test begins, and no host is left running after it."""
    whole_stack.in_good_times()
    yield whole_stack
    for instance_id, one in whole_stack.cloud.booted().items():
        if one["state"] not in {"terminated", "stopped"}:
            # Not terminated: the daemon would take it for lost, and build another.
            whole_stack.cloud.halt(instance_id)

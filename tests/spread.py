"""Which tests a worker of pytest-xdist runs together, and which come first.

A file stays whole.  Files that share something that takes long to start (the whole of
S4, a demo, a cloud, an installed wheel) stay together, so that it is started once.
What takes longest begins first, so that no worker has much to do when the others are
through.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

#: Folders, or files, by what they share.
TOGETHER = {
    "tests/account": "an account's cloud",
    "tests/browser": "the browser's site",
    "tests/deploy": "a machine",
    "tests/docs": "a demo",
    "tests/end_to_end": "the whole of S4",
    "tests/metal": "machines of the cloud",
    "tests/images/test_commands.py": "a registry",
    "tests/images/test_podman.py": "a registry",
    "tests/images/test_shipping.py": "a registry",
    "tests/packaging/test_config_check.py": "an installed wheel",
    "tests/packaging/test_extras.py": "an installed wheel",
    "tests/packaging/test_wheel.py": "an installed wheel",
}

#: Seconds of what takes long on a busy machine, by ``--durations=0``.  Of these,
#: `make check` leaves out the files, which start processes or whole suites of others.
SECONDS = {
    "the whole of S4": 560,
    "a machine": 300,
    "a demo": 135,
    "tests/images/test_built.py": 130,
    "a registry": 90,
    "tests/images/test_commands.py": 50,
    "tests/images/test_podman.py": 15,
    "the browser's site": 120,
    "tests/crash/test_signup_points.py": 95,
    "tests/rollout/test_processes.py": 95,
    "tests/rollout/test_rolling.py": 30,
    "machines of the cloud": 150,
    "tests/storage/test_tahoe_itself.py": 85,
    "tests/storage/test_upstream.py": 80,
    "tests/node/test_processes.py": 75,
    "tests/packaging/test_ci.py": 60,
    "tests/storage/test_s3_misbehaves.py": 50,
    "tests/desk/test_commands.py": 50,
    "tests/storage/test_two_hosts.py": 40,
    "tests/desk/test_bad_input.py": 35,
    "tests/grid/test_worker.py": 30,
    "tests/localcloud/test_process.py": 30,
    "tests/storage/test_killed.py": 27,
    "tests/protocol/test_wire.py": 26,
    "tests/grid/test_machine.py": 25,
    "tests/storage/test_strangers.py": 24,
    "tests/disaster/test_recovery.py": 22,
    "an account's cloud": 75,
    "an installed wheel": 20,
    "tests/journal/test_signups.py": 20,
    "tests/storage/test_host_lost.py": 20,
    "tests/crash/test_signup_kill9.py": 18,
}


def takes_long(nodeid: str) -> bool:
    """Whether the test's file is one of those that `make check` leaves out."""
    return nodeid.partition("::")[0] in SECONDS


def group_of(nodeid: str) -> str:
    """Whatever has the same name runs in one worker, in the order of collection."""
    file = nodeid.partition("::")[0]
    folder = str(PurePosixPath(file).parent)
    return TOGETHER.get(file) or TOGETHER.get(folder) or file


class Spread(LoadScopeScheduling):
    """Hands the longest group that is left to a worker that is nearly through."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        # Of equals the first: those with more tests come first.
        longest = max(self.workqueue, key=lambda group: SECONDS.get(group, 0))
        self.workqueue.move_to_end(longest, last=False)
        super()._assign_work_unit(node)

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
    "tests/packaging/test_config_check.py": "an installed wheel",
    "tests/packaging/test_extras.py": "an installed wheel",
    "tests/packaging/test_wheel.py": "an installed wheel",
}

#: Seconds of what takes long on a busy machine, by ``--durations=0``.
SECONDS = {
    "the whole of S4": 470,
    "the browser's site": 250,
    "a machine": 245,
    "tests/crash/test_signup_points.py": 240,
    "tests/desk/test_commands.py": 190,
    "tests/grid/test_worker.py": 120,
    "tests/packaging/test_ci.py": 100,
    "a demo": 60,
    "tests/protocol/test_wire.py": 60,
    "tests/node/test_processes.py": 50,
    "tests/storage/test_upstream.py": 50,
    "tests/storage/test_s3_misbehaves.py": 40,
    "tests/storage/test_two_hosts.py": 40,
    "tests/storage/test_tahoe_itself.py": 35,
    "tests/localcloud/test_process.py": 20,
    "tests/grid/test_machine.py": 20,
    "tests/storage/test_killed.py": 20,
    "tests/storage/test_strangers.py": 20,
    "an installed wheel": 10,
    "tests/storage/test_host_lost.py": 10,
}


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

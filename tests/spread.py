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

#: Files by what they share.
TOGETHER = {
    "tests/browser": "the browser's site",
    "tests/end_to_end": "the whole of S4",
}

#: Seconds, where they are many, measured with ``--durations=0``; a group's are one sum.
SECONDS: dict[str, int] = {"the whole of S4": 300}


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

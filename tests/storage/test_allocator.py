"""Memory is given back by a node at rest, and by no other."""

from __future__ import annotations

import mmap
import subprocess
import sys

import psutil
from hypothesis import given
from hypothesis import strategies as st

from lae_storage.allocator import Rests, trim


@given(st.lists(st.integers(0, 2), max_size=30))
def test_once_for_each_rest(steps: list[int]) -> None:
    """Given back when nothing moved between two looks, and something had before."""
    given_back: list[int] = []
    moved = [0]
    rests = Rests(lambda: moved[0], lambda: given_back.append(moved[0]))
    seen = 0
    expected: list[int] = []
    for step in steps:
        moved[0] += step
        if step == 0 and moved[0] and moved[0] == seen and moved[0] not in expected:
            expected.append(moved[0])
        rests.look()
        seen = moved[0]
    assert given_back == expected


def test_what_is_free_between_what_is_used_goes_back() -> None:
    """The process is smaller by most of what was freed."""
    # Less than glibc maps by itself: these lie in the heap.
    size, count = 64 * 1024, 1000
    blocks = [bytearray(size) for _ in range(count)]
    # Pins the heap's end, so that only trimming gives back what lies below.
    pin = bytearray(size)
    full = psutil.Process().memory_info().rss
    blocks.clear()
    trim()
    freed = full - psutil.Process().memory_info().rss
    assert freed > size * count // 2 > mmap.PAGESIZE
    assert len(pin) == size


def test_what_is_freed_is_taken_again() -> None:
    """Memory for a megabyte after the other is the system's only once."""

    def faults(first: str) -> int:
        program = (
            f"import resource; from lae_storage.allocator import keep; {first}\n"
            "def use(): [bytes(bytearray(1 << 20)) for _ in range(4)]\n"
            "use()\n"
            "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
            "for _ in range(50): use()\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"
        )
        argv = [sys.executable, "-c", program]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert faults("keep()") < faults("") / 10

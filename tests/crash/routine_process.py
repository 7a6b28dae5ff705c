"""A daemon's routine as a process that a test kills: ``routine_process.py FOLDER``.

Cloud and payment service lie in a file that is written after each effect, as if they
were elsewhere; the journal is the real one.  Ends with 0 when nothing is left to do.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

from tests.crash.scenarios import STORIES
from tests.grid.world import World
from tests.twins.doors import Line


class KeptWorld(World):
    """A world whose cloud, payments and time outlive the process."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "state")
        self.file = folder / "world.pickle"
        if self.file.exists():
            kept = pickle.loads(self.file.read_bytes())
            self.cloud, self.account = kept["cloud"], kept["account"]
            self.clock.advance(kept["now"] - self.clock.seconds())

    def saved(self) -> None:
        kept = {
            "cloud": self.cloud,
            "account": self.account,
            "now": self.clock.seconds(),
        }
        fresh = self.file.with_suffix(".new")
        fresh.write_bytes(pickle.dumps(kept))
        fresh.replace(self.file)

    def line(self) -> Line:
        return Line(self.cloud, self.clock, self._met, saved=self.saved)


def main(folder: Path, name: str) -> None:
    world = KeptWorld(folder)
    story_file = folder / "story.pickle"
    world.start()
    if story_file.exists():
        story = pickle.loads(story_file.read_bytes())
    else:
        story = STORIES[name]()
        story.begin(world)
        world.saved()
        story_file.write_bytes(pickle.dumps(story))
    story.limit(world)
    passed = 0
    while passed < story.seconds():
        story.turn(world)
        world.advance(5)
        passed += 5
    story.check(world)
    world.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

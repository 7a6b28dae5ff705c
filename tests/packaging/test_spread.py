"""How the tests are spread over workers."""

from __future__ import annotations

from pathlib import Path

from tests.packaging.test_ci import GOOD, run
from tests.spread import SECONDS, TOGETHER, group_of, takes_long

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_named_exists() -> None:
    """Every place of the two tables is here."""
    for place in TOGETHER:
        assert (ROOT / place).exists(), place
    for group in SECONDS:
        assert group in TOGETHER.values() or (ROOT / group).is_file(), group


def test_what_shares_something_stays_together() -> None:
    """Files of a folder that starts all of S4 are one group, any other is its own."""
    one, other = (f"tests/end_to_end/test_{n}.py::test_it" for n in "ab")
    assert group_of(one) == group_of(other)
    one, other = (f"tests/desk/test_{n}.py::test_it" for n in "ab")
    assert group_of(one) != group_of(other)


def test_check_leaves_out_files_that_take_long() -> None:
    """A file among those that take long is left out; of a group its marks decide."""
    assert takes_long("tests/storage/test_killed.py::test_it")
    assert not takes_long("tests/grid/test_plan.py::test_it")
    assert not takes_long("tests/deploy/test_plan.py::test_it")


def test_the_longest_begins(tmp_path: Path) -> None:
    """A group that takes long comes before one of more tests."""
    for folder, tests in (("desk", 4), ("end_to_end", 1)):
        (tmp_path / "tests" / folder).mkdir(parents=True)
        text = "\n".join(GOOD.replace("good", f"good_{n}") for n in range(tests))
        (tmp_path / "tests" / folder / f"test_{folder}.py").write_text(text)
    code, said = run(tmp_path, {}, 1)
    assert code == 0
    passed = [s.split()[1] for s in said.splitlines() if s.startswith("PASSED ")]
    assert passed[0] == "tests/end_to_end/test_end_to_end.py::test_good_0"
    assert len(passed) == 6

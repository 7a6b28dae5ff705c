"""All mutants of a module: its source with one small mistake in each.

mutmut finds where a mistake may be made and makes most of them; two that it has not are
ours.  What changes words alone (strings), or what is said in the log, is left out: no
test has to notice that; nor what mypy proves never to happen.  Runs where mutmut is
installed, which is not where the tests run: where its libcst can be imported, Hypothesis
wants to write a patch for each failure and stumbles over zope.interface.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import libcst as cst
from libcst.metadata import MetadataWrapper
from mutmut.mutation import mutators
from mutmut.mutation.file_mutation import MutationVisitor
from mutmut.mutation.pragma_handling import IgnoredCode

from tests.mutants.score import Mutant

_UNSEEN = re.compile(
    r"^(case _: )?assert_never\(|\b_?log(ger)?\.|\b_?LOG\.|^[A-Z_]+\.(log|info|warn|error)\("
)


def drop_statement(line: cst.SimpleStatementLine) -> Iterable[cst.CSTNode]:
    """Leave out what a line does: a call, a raise, an assignment to something's part."""
    if len(line.body) != 1:
        return
    match line.body[0]:
        case cst.Expr(value=cst.Call() | cst.Await() | cst.Yield()) | cst.Raise():
            yield line.with_changes(body=[cst.Pass()])
        case cst.Assign(targets=[cst.AssignTarget(cst.Attribute() | cst.Subscript())]):
            yield line.with_changes(body=[cst.Pass()])
        case cst.Return(value=cst.BaseExpression() as value):
            if not isinstance(value, cst.Name) or value.value != "None":
                yield line.with_changes(body=[cst.Return()])
        case _:
            pass


def negate(node: cst.If | cst.While | cst.MatchCase) -> Iterable[cst.CSTNode]:
    """Do it where it is not to be done."""
    place = "guard" if isinstance(node, cst.MatchCase) else "test"
    test = getattr(node, place)
    if test is not None and not isinstance(test, cst.UnaryOperation):
        wrapped = test.with_changes(
            lpar=[cst.LeftParen(), *test.lpar], rpar=[*test.rpar, cst.RightParen()]
        )
        yield node.with_changes(**{place: cst.UnaryOperation(cst.Not(), wrapped)})


OPERATORS: mutators.OPERATORS_TYPE = [
    (cst.BaseNumber, mutators.operator_number),
    (cst.Name, mutators.operator_name),
    (cst.AugAssign, mutators.operator_augmented_assignment),
    (cst.UnaryOperation, mutators.operator_remove_unary_ops),
    (cst.Call, mutators.operator_arg_removal),
    (cst.CSTNode, mutators.operator_keywords),
    (cst.CSTNode, mutators.operator_swap_op),
    (cst.Match, mutators.operator_match),
    (cst.IfExp, mutators.operator_if_exp),
    (cst.SimpleStatementLine, drop_statement),
    (cst.If, negate),
    (cst.While, negate),
    (cst.MatchCase, negate),
]


def mutants_of(root: Path, module: str) -> list[Mutant]:
    """Make every mutant of a module (a path below *root*), each once."""
    source = (root / module).read_text("utf-8")
    wrapper = MetadataWrapper(cst.parse_module(source))
    visitor = MutationVisitor(OPERATORS, IgnoredCode(set(), set(), set()))
    tree = wrapper.visit(visitor)
    found = {}
    for mutation in visitor.mutations:
        changed = tree.deep_replace(mutation.original_node, mutation.mutated_node)
        mutant = _compared(module, source, changed.code)
        if mutant is not None and not _UNSEEN.search(mutant.was):
            found.setdefault(mutant.source, mutant)
    return list(found.values())


def _compared(module: str, before: str, after: str) -> Mutant | None:
    """Say what is different, or None: nothing is."""
    old, new = before.splitlines(), after.splitlines()
    if old == new:
        return None
    first = next(_different(old, new))
    last = next(_different(old[first:][::-1], new[first:][::-1]))
    return Mutant(
        module,
        first + 1,
        _joined(old[first : len(old) - last]),
        _joined(new[first : len(new) - last]),
        after,
    )


def _different(old: list[str], new: list[str]) -> Iterator[int]:
    for number in range(max(len(old), len(new))):
        if old[number : number + 1] != new[number : number + 1]:
            yield number


def _joined(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines) or "(nothing)"

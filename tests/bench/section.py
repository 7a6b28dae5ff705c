"""The section of ``docs/benchmarks.rst`` that ``make bench-signup`` writes.  Pure."""

from __future__ import annotations

import statistics
from textwrap import fill

from attrs import Factory, define

from tests.bench.figures import Figure, Moments, after_payment, stages
from tests.bench.table import aim, table, timings


@define
class Results:
    """What came out."""

    floor: list[float] = Factory(list)
    alone: list[Moments] = Factory(list)
    with_file: list[Moments] = Factory(list)
    together: list[Moments] = Factory(list)
    recovered: list[float] = Factory(list)
    memory: dict[str, list[float]] = Factory(dict)


def described(machine: str, results: Results) -> str:
    """The section of the document."""
    alone, together = results.alone, results.together
    unit = Figure("floor: create-introducer, run, furl", tuple(results.floor))
    furl, *_ = after_payment("payment → furl read", alone, [m.furl for m in alone])
    mails = after_payment("payment → mail delivered", alone, [m.mail for m in alone])
    stored = [m.stored for m in results.with_file if m.stored is not None]
    files = after_payment("payment → first file stored", results.with_file, stored)
    many = f"{len(together)} at once: payment →"
    furl_of_many, *_ = after_payment(
        f"{many} furl", together, [m.furl for m in together]
    )
    mail_of_many, *_ = after_payment(
        f"{many} mail", together, [m.mail for m in together]
    )
    killed = Figure("host killed → next write", tuple(results.recovered))
    figures = (unit, furl, *mails, *files, furl_of_many, mail_of_many, killed)
    return "\n".join(
        [
            machine,
            timings(figures, unit),
            aim("payment → furl, p95", furl.p95, 1, " s")
            + aim("payment → mail ÷ floor, p50", mails[0].p50 / unit.p50, 2, "")
            + aim("payment → mail ÷ floor, p95", mails[0].p95 / unit.p95, 2, "")
            + aim(f"{many} furl, p95", furl_of_many.p95, 1, " s")
            + aim("host killed → next write, max", max(killed.values), 10, " s"),
            _said(results, furl.values[0], mails[0].values[0]),
            "Where the time goes from the payment to the mail:\n",
            timings(stages(alone), unit),
            "Memory, while the hosts of those who paid at once run:\n",
            _memory(results.memory),
        ]
    )


def _said(results: Results, first_furl: float, first_mail: float) -> str:
    return (
        fill(
            f"The first signup after the start of all processes saw its furl after "
            f"{first_furl:.3f} s and had its mail after {first_mail:.3f} s; both are among "
            f"the figures above. Of {len(results.together)} signups at once each had one "
            "mail; every signup of the run had one instance and one subscription.\n",
            88,
        )
        + "\n"
    )


def _memory(memory: dict[str, list[float]]) -> str:
    rows = [
        (kind, str(len(each)), f"{statistics.median(each):.0f}", f"{max(each):.0f}")
        for kind, each in memory.items()
    ]
    return table(("resident MiB", "processes", "median", "largest"), rows)

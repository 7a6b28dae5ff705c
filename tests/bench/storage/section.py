"""The section of ``docs/benchmarks.rst`` that ``make bench-storage`` writes.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from attrs import Factory, define

from tests.bench.storage.many import CLIENTS, Crowd
from tests.bench.storage.requests import READ_LITTLE, UPLOAD, WRITE_LITTLE, Cost
from tests.bench.storage.small import IMMUTABLE, NEW_FILE, OVERWRITE, Small
from tests.bench.storage.stage import DISK, NULL, OURS
from tests.bench.storage.transfers import AGAIN, DOWN, UP, Transfers
from tests.bench.table import aim, table

#: The least ratio to the disk node, by megabytes.
LEAST = {100.0: 1.0, 10.0: 0.95, 1.0: 0.9}
NEVER_UNDER = 0.95
FAR_LEAST = {100.0: 0.9, 10.0: 0.8}
#: PUTs that an operation may take longer than on the disk.
PUTS = {IMMUTABLE: 1.5, OVERWRITE: 1.5, NEW_FILE: 2.5}
FAR_OVERWRITE, MEBIBYTES, CPU = 45.0, 128.0, 1.2


@define
class Results:
    """What came out.  Milliseconds, seconds and MiB, as their names say."""

    near: list[Transfers] = Factory(list)
    far: list[Transfers] = Factory(list)
    #: Where the S3 server works on the processors of the others.
    shared: list[Transfers] = Factory(list)
    put: float = 0.0
    #: Milliseconds from the last byte of a share that is one PUT to the answer.
    last_byte: dict[float, float] = Factory(dict)
    small: list[Small] = Factory(list)
    #: SDMF overwrites with 30 ms added to each call, by protocol.
    far_overwrites: dict[str, float] = Factory(dict)
    #: The node's memory at its start and after each run, by protocol.
    memory: dict[str, list[float]] = Factory(dict)
    crowds: list[Crowd] = Factory(list)
    costs: list[Cost] = Factory(list)
    next_writes: dict[str, list[float]] = Factory(dict)
    #: Seconds until it serves, by shares in the bucket.
    starts: dict[int, float] = Factory(dict)
    #: CPU seconds of the S3 server for each 100 MB, up and down together.
    s3_cpu: float = 0.0


def at_least(what: str, value: float, limit: float) -> str:
    """One aim that is a least, and plainly whether it holds."""
    verdict = "holds" if value >= limit else "DOES NOT HOLD"
    return f"* {what}: {value:.2f}, aim ≥ {limit:.2f}: **{verdict}**.\n"


def wanted(megabytes: float, null: float) -> float:
    """The least ratio: at 100 MB 1, less the null test's own deviation."""
    least = LEAST[megabytes]
    return max(NEVER_UNDER, least - abs(1 - null)) if least == 1 else least


def described(machine: str, results: Results) -> str:
    """The section of the document."""
    return "\n".join(
        [
            machine,
            "Whole files, MB/s; *null* is a second disk node:\n",
            _transfers(results.near, results.last_byte),
            _near_aims(results),
            _s3(results),
            "The same with all processes, the S3 server too, on all processors:\n",
            _transfers(results.shared),
            "With 15 ms added to the first byte of each answer of S3:\n",
            _transfers(results.far),
            _far_aims(results.far),
            _puts_are(results),
            _small(results.small, results.put),
            _small_aims(results),
            "The node: CPU seconds for 100 MB up and down, and resident MiB:\n",
            _node(results),
            _node_aims(results),
            f"{CLIENTS} clients at once, with shares of 1 MB and slots of 4 kB:\n",
            _crowds(results.crowds),
            "What it costs at S3:\n",
            _costs(results.costs),
            _cost_aims(results.costs),
            "A node that ends and comes again, seconds:\n",
            _restarts(results),
            aim("serving with 10,000 shares", results.starts[10_000], 5, " s"),
        ]
    )


def _s3(results: Results) -> str:
    return (
        f"The S3 server itself used {results.s3_cpu:.2f} s of CPU for 100 MB up and "
        "down, on a\nprocessor of its own.\n"
    )


def _puts_are(results: Results) -> str:
    return (
        "Small operations, milliseconds; *PUTs* is what ours takes more than the disk, "
        f"in PUTs\nof 1 KB by the plainest client ({results.put:.2f} ms):\n"
    )


def bound(transfers: Transfers, last_byte: Mapping[float, float]) -> float | None:
    """The ratio of an upload that takes no longer than the disk's and what the S3
    server needs after the last byte.
    """
    if transfers.megabytes not in last_byte:
        return None
    disk = 1000 * transfers.megabytes / transfers.speed(UP, DISK)
    return disk / (disk + last_byte[transfers.megabytes])


def _bound(
    transfers: Transfers, direction: str, last_byte: Mapping[float, float]
) -> str:
    limit = bound(transfers, last_byte) if direction == UP else None
    return "-" if limit is None else f"{limit:.2f}"


def _transfers(
    all_of_them: list[Transfers], last_byte: Mapping[float, float] | None = None
) -> str:
    head = ("case", "n", "disk", "null", "ours", "null ratio", "bound", "ratio")
    rows = []
    for t in all_of_them:
        for direction in (UP, DOWN, AGAIN):
            null = NULL in t.up
            rows.append(
                (
                    f"{t.megabytes:g} MB {direction}, {t.protocol}",
                    str(len(t.up[OURS])),
                    f"{t.speed(direction, DISK):.1f}",
                    f"{t.speed(direction, NULL):.1f}" if null else "-",
                    f"{t.speed(direction, OURS):.1f}",
                    f"{t.ratio(direction, NULL, DISK):.2f}" if null else "-",
                    _bound(t, direction, last_byte or {}),
                    f"{t.ratio(direction, OURS, DISK):.2f}",
                )
            )
    return table(head, rows)


def _near_aims(results: Results) -> str:
    lines = [
        f"* From the last byte of a share of {megabytes:g} MB to its PUT's answer the S3 "
        f"server takes {took:.1f} ms.\n"
        for megabytes, took in results.last_byte.items()
    ]
    for t in results.near:
        for direction in (UP, DOWN, AGAIN):
            null = t.ratio(direction, NULL, DISK)
            what = f"{t.megabytes:g} MB {direction}, {t.protocol}"
            ours = t.ratio(direction, OURS, DISK)
            lines.append(at_least(what, ours, wanted(t.megabytes, null)))
    return "".join(lines)


def _far_aims(all_of_them: list[Transfers]) -> str:
    return "".join(
        at_least(
            f"{t.megabytes:g} MB {direction}, {t.protocol}, S3 15 ms away",
            t.ratio(direction, OURS, DISK),
            FAR_LEAST[t.megabytes],
        )
        for t in all_of_them
        for direction in (UP, DOWN, AGAIN)
    )


def _small(measured: list[Small], put: float) -> str:
    head = ("operation", "disk", "null", "ours", "PUTs", "ratio")
    rows = [
        (
            f"{s.operation}, {s.protocol}",
            *(f"{s.milliseconds[name]:.1f}" for name in (DISK, NULL, OURS)),
            f"{_puts(s, put):.2f}",
            f"{s.milliseconds[OURS] / s.milliseconds[DISK]:.2f}",
        )
        for s in measured
    ]
    return table(head, rows)


def _puts(small: Small, put: float) -> float:
    return (small.milliseconds[OURS] - small.milliseconds[DISK]) / put


def _small_aims(results: Results) -> str:
    lines = [
        aim(
            f"{s.operation}, {s.protocol}: more than the disk",
            _puts(s, results.put),
            PUTS[s.operation],
            " PUTs",
        )
        for s in results.small
    ]
    near = {s.protocol: s for s in results.small if s.operation == OVERWRITE}
    lines += [
        aim(
            f"SDMF overwrite, {protocol}: more with 30 ms added to each call",
            far - near[protocol].milliseconds[OURS],
            FAR_OVERWRITE,
            " ms",
        )
        for protocol, far in results.far_overwrites.items()
    ]
    return "".join(lines)


def _node(results: Results) -> str:
    head = ("protocol", "CPU disk", "CPU ours", "MiB start", "MiB end", "CPU ratio")
    rows = [
        (
            t.protocol,
            f"{median(t.cpu[DISK]):.2f}",
            f"{median(t.cpu[OURS]):.2f}",
            f"{results.memory[t.protocol][0]:.0f}",
            f"{results.memory[t.protocol][-1]:.0f}",
            f"{_cpu_ratio(t):.2f}",
        )
        for t in results.near
        if t.megabytes == max(LEAST)
    ]
    return table(head, rows)


def _cpu_ratio(transfers: Transfers) -> float:
    return median(transfers.cpu[OURS]) / median(transfers.cpu[DISK])


def _node_aims(results: Results) -> str:
    lines = [
        aim(f"memory at the end, {protocol}", each[-1], MEBIBYTES, " MiB")
        for protocol, each in results.memory.items()
    ]
    lines += [
        aim(f"CPU to the disk node's, {t.protocol}", _cpu_ratio(t), CPU, "")
        for t in results.near
        if t.megabytes == max(LEAST)
    ]
    runs = "; ".join(
        f"{protocol} " + ", ".join(f"{m:.0f}" for m in each)
        for protocol, each in results.memory.items()
    )
    return "".join(lines) + f"\nMiB at the start and after each run: {runs}.\n"


def _crowds(crowds: list[Crowd]) -> str:
    head = ("node", "MB/s", "p50 s", "p99 s", "errors", "MB/s ratio")
    disk = next(c for c in crowds if c.name == DISK)
    rows = [
        (
            c.name,
            f"{c.speed:.1f}",
            f"{c.p50:.2f}",
            f"{c.p99:.2f}",
            str(c.errors),
            f"{c.speed / disk.speed:.2f}",
        )
        for c in crowds
    ]
    return table(head, rows)


def _costs(costs: list[Cost]) -> str:
    head = ("operation", "GET", "HEAD", "PUT", "POST", "DELETE", "sent kB", "got kB")
    rows = [
        (
            c.operation,
            *(str(c.methods.get(m, 0)) for m in head[1:6]),
            f"{c.sent / 1000:.1f}",
            f"{c.received / 1000:.1f}",
        )
        for c in costs
    ]
    return table(head, rows)


def _cost_aims(costs: list[Cost]) -> str:
    by = {c.operation: c for c in costs}
    return (
        aim(UPLOAD, by[UPLOAD].requests, 15, " requests")
        + aim(READ_LITTLE, by[READ_LITTLE].requests, 2, " requests")
        + aim(READ_LITTLE, by[READ_LITTLE].received / 1e6, 1.2, " MB")
        + aim(WRITE_LITTLE, by[WRITE_LITTLE].sent / 1e6, 3, " MB")
    )


def _restarts(results: Results) -> str:
    rows = [
        (f"killed → the client's next write, {protocol}", f"{median(each):.2f}")
        for protocol, each in results.next_writes.items()
    ]
    rows += [
        (f"started → serving, {count:,} shares", f"{took:.2f}")
        for count, took in results.starts.items()
    ]
    return table(("what", "seconds"), rows)

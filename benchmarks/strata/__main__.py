"""`python -m benchmarks.strata`: rows a second and memory of `lore strata build`, beside plain SQL on the same DuckDB.

Each size's log is generated once, below a temporary folder that is removed after it: query text, day, count; the frequency of
rank r falls as 1/r, with at most a quarter as many queries as rows. Plain SQL groups by the query as it is written and sorts: no
normaliser, no window, no decay, no snapshot. Both run in turn, each time in a process of its own, on the same threads and memory
limit. Memory is the kernel's high-water mark of that process alone; disk is the largest that its work folder was seen to be.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import duckdb

from lore_core.strata.build import Recipe, build
from lore_core.strata.rows import RowRules, Window
from lore_core.strata.traffic import TrafficRules

MIB = 1 << 20
TARGET_MEMORY = 2048 * MIB
SIZES = (1_000_000, 10_000_000, 100_000_000)
NAMES = {"lore": "lore strata build", "sql": "plain SQL"}
LOOK_SECONDS = 0.2

GENERATE = """
    COPY (
        SELECT 'query ' || floor(exp(random() * ln($distinct)))::BIGINT || CASE WHEN random() < 0.2 THEN ' ' ELSE '' END AS query,
            DATE '2026-11-01' + floor(random() * 28)::INTEGER AS date,
            1 AS count
        FROM range($rows)
    ) TO '{path}' (FORMAT {kind})
"""
PLAIN = "SELECT query, sum(count) AS requests FROM '{path}' GROUP BY query ORDER BY requests DESC, query LIMIT 1000000"


class Run(NamedTuple):
    """One run of a child: seconds, bytes of its largest resident set and of its work folder."""

    seconds: float
    peak: int
    disk: int


def generate(path: Path, rows: int) -> None:
    with duckdb.connect(config={"memory_limit": "1GB", "preserve_insertion_order": False}) as connection:
        connection.execute("SELECT setseed(0.5)")
        command = GENERATE.format(path=path, kind=path.suffix[1:].replace("jsonl", "json"))
        connection.execute(command, {"rows": rows, "distinct": rows // 4})


def build_with_lore(path: Path, work: Path, memory: str) -> int:
    """Build a snapshot; returns the requests it counted."""
    rules = TrafficRules(RowRules(Window(days=28, half_life=14.0)))
    built = build([path], Recipe(traffic=rules, memory=memory), work / "out", work / "duckdb")
    return sum(count.requests for count in built.counts.values())


def group_with_sql(path: Path, work: Path, memory: str) -> None:
    config = {"memory_limit": memory, "temp_directory": str(work / "spill"), "preserve_insertion_order": False}
    with duckdb.connect(str(work / "plain.duckdb"), config=config) as connection:
        rows = connection.execute(PLAIN.format(path=path))
        while rows.fetchmany(10_000):
            pass


def peak_memory() -> int:
    """Bytes of this process's largest resident set. getrusage's would begin with what the parent had."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in status if line.startswith("VmHWM:")).split()[1]) * 1024


def child(what: str, path: Path, rows: int, work: Path, memory: str) -> dict[str, float]:
    """One measurement in this process."""
    started = time.perf_counter()
    if what == "lore":
        counted = build_with_lore(path, work, memory)
        if counted != rows:
            raise SystemExit(f"{counted:,} requests were counted, the log has {rows:,}")
    else:
        group_with_sql(path, work, memory)
    return {"seconds": time.perf_counter() - started, "peak": peak_memory()}


def measured(what: str, path: Path, rows: int, memory: str) -> Run:
    """Run a child, looking at its work folder meanwhile."""
    with tempfile.TemporaryDirectory(prefix="lore-bench-") as folder:
        words = [sys.executable, "-m", "benchmarks.strata", "--child", what, "--file", str(path), "--work", folder]
        words += ["--memory", memory, "--rows", str(rows)]
        disk, process = 0, subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while process.poll() is None:
            disk = max(disk, size(Path(folder)))
            time.sleep(LOOK_SECONDS)
        said, problem = process.communicate()
    if process.returncode:
        raise SystemExit(problem)
    found = json.loads(said)
    return Run(found["seconds"], found["peak"], disk)


def size(folder: Path) -> int:
    """Bytes below a folder; files that vanish while it is read count nothing."""
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.stat(os.path.join(root, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total


def compare(rows: int, rounds: int, kind: str, memory: str) -> dict[str, list[Run]]:
    """Both sides in turn on one log of this size."""
    found: dict[str, list[Run]] = {what: [] for what in NAMES}
    with tempfile.TemporaryDirectory(prefix="lore-log-") as folder:
        path = Path(folder) / f"log.{kind}"
        generate(path, rows)
        print(f"{rows:,} rows, {path.stat().st_size / MIB:,.0f} MiB of {kind}", flush=True)
        for _ in range(rounds):
            for what, runs in found.items():
                runs.append(measured(what, path, rows, memory))
                print(
                    f"  {NAMES[what]}: {runs[-1].seconds:,.1f} s, {runs[-1].peak / MIB:,.0f} MiB",
                    file=sys.stderr,
                    flush=True,
                )
    return found


def show(rows: int, found: dict[str, list[Run]]) -> None:
    """A line a side, and how often ours takes plain SQL's time, round by round."""
    for what, runs in found.items():
        seconds, rates = [run.seconds for run in runs], [rows / run.seconds for run in runs]
        peak, disk = (max(getattr(run, name) for run in runs) / MIB for name in ("peak", "disk"))
        took = f"{spread(seconds, ',.1f')} s, {spread(rates, ',.0f')} rows/s"
        print(f"  {NAMES[what]:<18} {took}, largest resident set {peak:,.0f} MiB, work folder {disk:,.0f} MiB")
    ratios = [ours.seconds / theirs.seconds for ours, theirs in zip(found["lore"], found["sql"], strict=True)]
    print(f"  {'seconds by SQL’s':<18} {spread(ratios, ',.1f')}", flush=True)


def spread(values: list[float], form: str) -> str:
    """Median and range."""
    return f"{statistics.median(values):{form}} ({min(values):{form}}-{max(values):{form}})"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strata", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES, help="sizes of the log, one after the other")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--format", choices=("parquet", "jsonl", "csv"), default="parquet")
    parser.add_argument("--memory", default="1GB", help="DuckDB's limit; the process needs more")
    parser.add_argument("--short", action="store_true", help="for CI: a million rows once; fails at 2 GiB")
    parser.add_argument("--child", choices=NAMES, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    args = arguments()
    if args.child:
        print(json.dumps(child(args.child, args.file, args.rows[0], args.work, args.memory)))
        return 0
    sizes, rounds = (SIZES[:1], 1) if args.short else (args.rows, args.rounds)
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    print(f"{cores} cores, load average {load:.1f} before, DuckDB limited to {args.memory}, median (range) of {rounds}")
    most = 0
    for rows in sizes:
        found = compare(rows, rounds, args.format, args.memory)
        show(rows, found)
        most = max(most, *(run.peak for run in found["lore"]))
    return 1 if most > TARGET_MEMORY else 0


if __name__ == "__main__":
    sys.exit(main())

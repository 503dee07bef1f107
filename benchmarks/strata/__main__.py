"""`python -m benchmarks.strata`: rows a second and memory of `lore strata build`, beside plain SQL on the same DuckDB.

The log is generated: query text, day, count; the frequency of rank r falls as 1/r. Plain SQL groups by the query as it is
written and sorts: no normaliser, no window, no decay, no snapshot. Both run in turn, each time in a process of its own, on the same
threads and memory limit.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb

from lore_core.strata.build import Recipe, build
from lore_core.strata.rows import RowRules, Window
from lore_core.strata.traffic import TrafficRules

MIB = 1 << 20
TARGET_MEMORY = 2048 * MIB
SHORT_ROWS = 1_000_000
CHILDREN = {"lore": "lore strata build", "sql": "plain SQL"}

GENERATE = """
    COPY (
        SELECT 'query ' || floor(exp(random() * ln($distinct)))::BIGINT || CASE WHEN random() < 0.2 THEN ' ' ELSE '' END AS query,
            DATE '2026-11-01' + floor(random() * 28)::INTEGER AS date,
            1 AS count
        FROM range($rows)
    ) TO '{path}' (FORMAT {kind})
"""
PLAIN = "SELECT query, sum(count) AS requests FROM '{path}' GROUP BY query ORDER BY requests DESC, query LIMIT 1000000"


def generate(path: Path, rows: int) -> None:
    with duckdb.connect(config={"threads": 2, "memory_limit": "1GB", "preserve_insertion_order": False}) as connection:
        connection.execute("SELECT setseed(0.5)")
        connection.execute(
            GENERATE.format(path=path, kind=path.suffix[1:].replace("jsonl", "json")),
            {"rows": rows, "distinct": rows // 4},
        )


def child(what: str, path: Path, work: Path, memory: str) -> dict[str, Any]:
    """One measurement in this process: seconds, and its largest resident set in bytes."""
    started = time.perf_counter()
    found: dict[str, Any] = {}
    if what == "lore":
        rules = TrafficRules(RowRules(Window(days=28, half_life=14.0)))
        built = build([path], Recipe(traffic=rules, memory=memory), work / "out", work / "duckdb")
        found = {"strata": {name: count.queries for name, count in built.counts.items()}}
    else:
        config = {"memory_limit": memory, "temp_directory": str(work / "spill"), "preserve_insertion_order": False}
        with duckdb.connect(str(work / "plain.duckdb"), config=config) as connection:
            rows = connection.execute(PLAIN.format(path=path))
            while rows.fetchmany(10_000):
                pass
    return found | {
        "seconds": time.perf_counter() - started,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def measured(what: str, path: Path, memory: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="lore-bench-") as work:
        words = [sys.executable, "-m", "benchmarks.strata", "--child", what, "--file", str(path), "--work", work]
        done = subprocess.run([*words, "--memory", memory], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return dict(json.loads(done.stdout))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strata", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--format", choices=("parquet", "jsonl", "csv"), default="parquet")
    parser.add_argument("--memory", default="1GB", help="DuckDB's limit; the process needs more")
    parser.add_argument("--short", action="store_true", help="for CI: a million rows once; fails at 2 GiB")
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    args = arguments()
    if args.child:
        print(json.dumps(child(args.child, args.file, args.work, args.memory)))
        return 0
    rows, rounds = (SHORT_ROWS, 1) if args.short else (args.rows, args.rounds)
    results: dict[str, list[dict[str, Any]]] = {what: [] for what in CHILDREN}
    with tempfile.TemporaryDirectory(prefix="lore-log-") as folder:
        path = Path(folder) / f"log.{args.format}"
        generate(path, rows)
        print(f"{rows:,} rows, {path.stat().st_size / MIB:,.0f} MiB of {args.format}, DuckDB limited to {args.memory}")
        for _ in range(rounds):
            for what, found in results.items():
                found.append(measured(what, path, args.memory))
    for what, name in CHILDREN.items():
        rates = [rows / found["seconds"] for found in results[what]]
        peak = max(found["peak"] for found in results[what])
        spread = f"{statistics.median(rates):,.0f} rows/s ({min(rates):,.0f}-{max(rates):,.0f})"
        print(f"{name:<18} {spread}, largest resident set {peak / MIB:,.0f} MiB")
    print(f"strata: {results['lore'][0]['strata']}")
    return 1 if max(found["peak"] for found in results["lore"]) > TARGET_MEMORY else 0


if __name__ == "__main__":
    sys.exit(main())

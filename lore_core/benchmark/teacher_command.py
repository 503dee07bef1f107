"""`lore teacher stand-in`: the generated world's rule engine behind the OpenAI wire, for trying synthesis without a model."""

import argparse
import os

from lore_core.benchmark.corpus import facts
from lore_core.benchmark.oracle import Oracle
from lore_core.benchmark.rule_teacher import NO_FAULTS, FaultRates, RuleTeacher
from lore_core.benchmark.rulebook import rulebook
from lore_core.benchmark.teacher_server import TeacherServer, WireFaults

_TOKEN = "LORE_TEACHER_TOKEN"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore teacher stand-in`."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on (default %(default)s)")
    parser.add_argument(
        "--faults", action="store_true", help="make the documented faults: wrong steps, leaks, 429, time-outs"
    )
    parser.add_argument("--seed", type=int, default=17, help="which requests get a fault (default %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted. The token that callers must send is taken from LORE_TEACHER_TOKEN, where that is set."""
    rates = FaultRates() if args.faults else NO_FAULTS
    wire = WireFaults(too_many=0.03, hang=0.01, broken=0.01, seed=args.seed) if args.faults else None
    teacher = RuleTeacher(Oracle(facts(), rulebook()), rulebook(), rates, args.seed)
    server = TeacherServer(teacher, (args.host, args.port), wire, os.environ.get(_TOKEN, ""))
    print(f"stand-in teacher (rule engine, no language model) at {server.url}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("stopped")
    return 0

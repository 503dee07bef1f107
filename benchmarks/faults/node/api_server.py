"""A stub that stands where a predictor's command expects vLLM's server: `benchmarks.faults.predictor` on the pod's port.

What it answers is in `stub.json` of the model folder. It is mounted into the predictors' pods.
"""

import argparse
import json
from pathlib import Path

import uvloop

from benchmarks.faults.predictor import serve

STUB = "stub.json"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    args, _ = parser.parse_known_args()
    told = json.loads((args.model / STUB).read_text(encoding="utf-8"))
    uvloop.run(serve(args.port, told["scores"], "well", args.host))


if __name__ == "__main__":
    main()

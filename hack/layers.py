"""Runs every test layer in order, stops at the first that fails, and prints the minutes of each."""

import subprocess
import sys
import time

LAYERS = ("tools", "setup", "check", "unit", "controlplane", "chart", "integration", "e2e")


def main() -> int:
    minutes: list[tuple[str, float]] = []
    for layer in LAYERS:
        started = time.monotonic()
        status = subprocess.run(["make", "--no-print-directory", layer], check=False).returncode
        minutes.append((layer, (time.monotonic() - started) / 60))
        if status:
            print(f"layer {layer} failed; run it alone with: make {layer}", file=sys.stderr)
            break
    print("\n".join(f"{layer:<14}{spent:6.1f} min" for layer, spent in minutes))
    return status


if __name__ == "__main__":
    sys.exit(main())

"""`python -m hack.demo.pin`: write the digests of the generated data into the example manifests."""

import sys

from hack.demo import data, examples


def main() -> int:
    """Pin and say which files changed."""
    for path in examples.pin(data.prepare().digests()):
        print(f"wrote {path.relative_to(data.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

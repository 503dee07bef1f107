"""`python -m hack.demo.pin`: write the digests of the generated data into the example manifests."""

import sys

from hack.demo import chorus, data, examples


def main() -> int:
    """Pin and say which files changed."""
    digests = data.prepare().digests()
    if (judgements := chorus.folder()) is not None:
        digests |= chorus.prepare(judgements).digests()
    for path in examples.pin(digests):
        print(f"wrote {path.relative_to(data.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

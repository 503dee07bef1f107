"""`lore route explain QUERY --url ROUTER`: which stratum, tier and composition answer a query, and why."""

import argparse
import sys
from pathlib import Path

import httpx

from lore_core import output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore route explain`."""
    parser.add_argument("query")
    parser.add_argument("--url", required=True, help="base address of a router, such as http://search-router")
    parser.add_argument("--market", default="")
    parser.add_argument("--token-file", type=Path, help="file with a bearer token in its first line")
    output.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the decision; 1 with the reason on stderr where the router does not give one."""
    try:
        headers = {"authorization": f"Bearer {_token(args.token_file)}"} if args.token_file is not None else {}
        response = httpx.post(
            f"{args.url.rstrip('/')}/v1/explain",
            json={"query": args.query, "market": args.market},
            headers=headers,
            trust_env=False,
        )
        found = response.json()
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        print(f"lore route explain: {args.url}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if response.status_code != httpx.codes.OK:
        print(f"lore route explain: {args.url}: status {response.status_code}: {response.text[:500]}", file=sys.stderr)
        return 1
    print(_text(found) if args.output == "table" else output.document(found, args.output))
    return 0


def _token(path: Path) -> str:
    return path.read_text(encoding="utf-8").split("\n", 1)[0].strip()


def _text(found: dict[str, object]) -> str:
    tiers = found["tiers"]
    asked = " -> ".join([*tiers, "neutral"]) if isinstance(tiers, list) else str(tiers)
    return "\n".join(
        (
            f"query key    {found['query_key']}",
            f"composition  {found['revision']}: {found['reason']}",
            f"stratum      {found['stratum']}",
            f"tiers        {asked}",
            f"head pairs   {found['head_pairs']}",
        )
    )

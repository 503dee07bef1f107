"""The same path on real judgements: the Chorus pairs, where LORE_CHORUS_DIR names them."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from hack.basemodel import CACHE, content_key
from hack.demo.ask import Question
from hack.demo.data import Data, lore
from hack.demo.errors import DemoError

PLACE: Final = "chorus"
_FILES: Final = ("train.jsonl", "dev.jsonl", "items.jsonl.gz")
_IGNORED: Final = ("price_cents", "short_description", "image_url", "date_released")
_ITEMS: Final = 4


def folder() -> Path | None:
    """The folder with the judgements, or None where the user named none."""
    named = os.environ.get("LORE_CHORUS_DIR")
    if not named:
        return None
    missing = [name for name in _FILES if not (Path(named) / name).is_file()]
    if missing:
        raise DemoError(
            f"LORE_CHORUS_DIR={named}: there is no {', '.join(missing)}; name the folder that has them, or unset it"
        )
    return Path(named)


def prepare(source: Path) -> Data:
    """Import the judgements and rank their queries; cached by what they and the importer are."""
    stamps = [f"{name} {(source / name).stat().st_size} {(source / name).stat().st_mtime_ns}" for name in _FILES]
    out = CACHE / "data" / f"chorus-{content_key(('lore_core/records', 'lore_core/strata'), *stamps)}"
    if not (out / "strata" / "lore-manifest.json").exists():
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        _import(source, out)
    return Data({f"{PLACE}/{name}": out / name for name in ("pairs", "benchmark", "items", "strata")})


def question(data: Data) -> Question:
    """A held-out query with four judged items, two that fit if there are so many."""
    judged: dict[str, dict[str, str]] = {}
    for row in _rows(data.folders[f"{PLACE}/benchmark"] / "general.jsonl"):
        judged.setdefault(row["query"], {})[row["item_id"]] = row["groundtruth"]
    query, labels = max(judged.items(), key=lambda entry: len(set(entry[1].values())))
    ordered = sorted(labels, key=lambda item: labels[item])
    picked = [*ordered[: _ITEMS // 2], *ordered[-_ITEMS // 2 :]]
    return Question("tail", query, "", {item: labels[item] for item in picked})


def _import(source: Path, out: Path) -> None:
    options = ["--map", "groundtruth=label", "--ignore", "rater_grades", "--item-map", "cpv_sku=attributes"]
    options += ["--item-attribute", "brand", *(word for name in _IGNORED for word in ("--item-ignore", name))]
    files = ["--pairs", str(source / "train.jsonl"), "--holdout", str(source / "dev.jsonl")]
    lore("data", "import", *files, "--items", str(source / "items.jsonl.gz"), *options, "--out", str(out))
    judgements = Counter(row["query"] for name in _FILES[:2] for row in _rows(source / name))
    log = out / "judgements.jsonl"
    log.write_text(
        "".join(json.dumps({"query": q, "count": n}) + "\n" for q, n in judgements.items()), encoding="utf-8"
    )
    lore("strata", "build", "--log", str(log), "--output", (out / "strata").as_uri())


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)

"""The documentation hangs together: every link leads somewhere, and every page is linked from the README."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_PATH = re.compile(
    r"`((?:charts|deploy|docs|examples|hack|operator|lore_core|tests|benchmarks|requirements)/[\w./-]+)`"
)


def pages() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "*.md"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name]


def text_of(page: Path) -> str:
    """The page without its code blocks."""
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The names that headings get: lower case, spaces as hyphens, the rest of the punctuation gone."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[tuple[str, Path, str]]:
    """(as written, target, anchor) of every link that stays in the tree."""
    inside = [link for link in _LINK.findall(text_of(page)) if "://" not in link and not link.startswith("mailto:")]
    split = [(link, *link.partition("#")[::2]) for link in inside]
    return [(link, (page.parent / path).resolve() if path else page, anchor) for link, path, anchor in split]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for link, target, anchor in links(page):
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_that_a_page_names_is_there(page: Path) -> None:
    named = {path.rstrip(".") for path in _PATH.findall(text_of(page))}

    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_every_page_of_the_documentation_is_reached_from_the_readme() -> None:
    seen, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        for _, target, _ in links(page):
            waiting += sorted(target.glob("*.md")) if target.is_dir() else [target] if target.suffix == ".md" else []

    assert {page for page in pages() if page.is_relative_to(ROOT / "docs")} - seen == set()

"""What `make audit` says of a lock: a known vulnerability, nothing known, or that nobody could tell."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from hack.advisories import Advisories
from hack.audit import Exemption, judge, read_exemptions, without

TODAY = date(2026, 11, 30)


def record(
    name: str, *events: dict[str, str], versions: tuple[str, ...] = (), day: str = "2026-11-29"
) -> dict[str, Any]:
    part = {
        "package": {"ecosystem": "PyPI", "name": name},
        "ranges": [{"type": "ECOSYSTEM", "events": list(events)}],
        "versions": list(versions),
    }
    return {"id": f"PYSEC-{name}", "modified": f"{day}T10:00:00Z", "aliases": ["CVE-1"], "affected": [part]}


FIXED_TWICE = ({"introduced": "0"}, {"fixed": "1.2"}, {"introduced": "2.0"}, {"fixed": "2.0.3"})


@pytest.mark.parametrize(
    ("advisory", "version", "affected"),
    [
        (record("some-lib", *FIXED_TWICE), "0.1", True),
        (record("some-lib", *FIXED_TWICE), "1.2", False),
        (record("some-lib", *FIXED_TWICE), "2.0.2.post1", True),
        (record("some-lib", *FIXED_TWICE), "2.0.3", False),
        (record("some-lib", *FIXED_TWICE), "1.2rc1", True),
        (record("Some_Lib", {"introduced": "1"}, {"last_affected": "1.10"}), "1.10", True),
        (record("Some_Lib", {"introduced": "1"}, {"last_affected": "1.10"}), "1.11", False),
        (record("some.lib", versions=("1.10",)), "1.1", False),
        (record("some.lib", versions=("not a version", "1.10")), "1.10.0", True),
        (record("another", {"introduced": "0"}), "1.0", False),
    ],
)
def test_an_advisory_is_about_the_versions_that_it_names(
    advisory: dict[str, Any], version: str, affected: bool
) -> None:
    assert bool(Advisories([advisory]).about("some-lib", version)) is affected


def test_a_version_in_yaml_is_text(tmp_path: Path) -> None:
    (tmp_path / "PYSEC-1.yaml").write_text(
        "id: PYSEC-1\nmodified: 2026-11-29T10:00:00Z\naffected:\n"
        "- package: {ecosystem: PyPI, name: lib}\n  versions: [1.10]\n"
    )
    found = Advisories.read(tmp_path)

    assert (len(found.about("lib", "1.10")), found.about("lib", "1.1")) == (1, [])
    assert found.newest == date(2026, 11, 29)


@pytest.mark.parametrize("name", ["README.md", "values.yaml"])
def test_a_folder_of_something_else_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("a: b")
    with pytest.raises(ValueError, match=r"holds no advisory|no advisory in the OSV format"):
        Advisories.read(tmp_path)


REPORT = {
    "dependencies": [
        {"name": "lib", "version": "1.0", "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-9"], "fix_versions": ["1.2"]}]},
        {"name": "sound", "version": "2.0", "vulns": []},
        {"name": "unknown", "skip_reason": "not found on PyPI: unknown (3.0)"},
    ]
}


def test_a_package_that_nobody_answered_for_is_not_taken_for_a_sound_one() -> None:
    outcome = judge(json.loads(json.dumps(REPORT)))

    assert (outcome.packages, outcome.unanswered) == (3, ("not found on PyPI: unknown (3.0)",))
    assert [str(finding) for finding in outcome.findings] == ["lib 1.0: PYSEC-1 (CVE-9), fixed in 1.2"]


def test_an_exemption_holds_by_any_name_and_until_its_day() -> None:
    findings = judge(json.loads(json.dumps(REPORT))).findings

    assert without(findings, [Exemption("CVE-9", TODAY, "not reached")], TODAY) == []
    assert without(findings, [Exemption("CVE-9", date(2026, 11, 29), "not reached")], TODAY) == [*findings]
    assert without(findings, [Exemption("CVE-8", TODAY, "another")], TODAY) == [*findings]


def test_an_exemption_says_until_when_and_why() -> None:
    assert read_exemptions("# why\n\nCVE-9 2026-12-31 no caller passes it a file\n") == [
        Exemption("CVE-9", date(2026, 12, 31), "no caller passes it a file")
    ]
    for line in ("CVE-9", "CVE-9 2026-12-31", "CVE-9 soon it is harmless"):
        with pytest.raises(ValueError, match=r"audit-exceptions\.txt:1: give IDENTIFIER YEAR-MONTH-DAY REASON"):
            read_exemptions(line)

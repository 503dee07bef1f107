"""Each extra's lock installs by hash alone, and what it is for imports from it."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = Path(os.environ.get("LORE_CACHE", Path.home() / ".cache" / "lore-platform")) / "bootstrap" / "bin" / "uv"

IMPORTS = {
    "operator": "prometheus_client, lore_operator.__main__",
    "router": "httptools, uvloop, s3fs, lore_core.router.serve_command, lore_core.router.load_command",
    "strata": "duckdb, pyarrow",
    "training": "torch, transformers, deepspeed, safetensors, lore_core.training.command",
    "serving-cpu": "vllm, torchvision, s3fs, httptools, lore_core.scoring.client",
}


def uv(*words: str, venv: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"VIRTUAL_ENV": str(venv), "UV_PYTHON_DOWNLOADS": "never"}
    return subprocess.run([str(UV), *words], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("extra", IMPORTS)
def test_an_extra_imports_from_its_lock(extra: str, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    assert uv("venv", "--quiet", "--python", "3.11", str(venv), venv=venv).returncode == 0
    lock = str(ROOT / "requirements" / f"{extra}.txt")
    installed = uv("pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", lock, venv=venv)
    assert installed.returncode == 0, installed.stderr
    code = f"import {IMPORTS[extra]}"
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}", "DS_ACCELERATOR": "cpu"}
    imported = subprocess.run(
        [str(venv / "bin" / "python"), "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert imported.returncode == 0, imported.stderr


def test_the_gpu_lock_resolves_by_hash(tmp_path: Path) -> None:
    """Its import needs a GPU driver; here it is shown that the lock is whole and installable."""
    venv = tmp_path / "venv"
    assert uv("venv", "--quiet", "--python", "3.11", str(venv), venv=venv).returncode == 0
    lock = str(ROOT / "requirements" / "serving-gpu.txt")
    resolved = uv("pip", "install", "--dry-run", "--require-hashes", "-r", lock, venv=venv)
    assert resolved.returncode == 0, resolved.stderr
    assert "vllm==0.32.0" in resolved.stderr


def test_the_bill_of_materials_names_what_the_locks_install() -> None:
    made = subprocess.run(
        ["make", "--no-print-directory", "sbom", "LOCKS=operator router"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    for lock in ("operator", "router"):
        text = (ROOT / "requirements" / f"{lock}.txt").read_text()
        found = json.loads((ROOT / "dist" / "sbom" / f"{lock}.cdx.json").read_text())
        assert {(item["name"], item["version"]) for item in found["components"]} == set(
            re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==([^ ;]+)", text, re.MULTILINE)
        )


def advisory(folder: Path, changed: date) -> Path:
    """A folder with one advisory: urllib3 before 1.26.17 (CVE-2023-43804)."""
    part = {
        "package": {"ecosystem": "PyPI", "name": "urllib3"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.26.17"}]}],
    }
    about = {"id": "PYSEC-2023-192", "modified": f"{changed}T00:00:00Z", "aliases": ["CVE-2023-43804"]}
    folder.mkdir()
    (folder / "PYSEC-2023-192.json").write_text(json.dumps({**about, "affected": [part]}))
    return folder


@pytest.fixture(scope="module")
def pip_audit() -> Path:
    """The program, from its own lock."""
    made = UV.parents[2] / "audit" / ".complete"
    done = subprocess.run(["make", str(made)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return made.parent / "bin" / "pip-audit"


def audited(pip_audit: Path, version: str, advisories: Path, lock: Path) -> subprocess.CompletedProcess[str]:
    """What `make audit` runs, for a lock with one pin."""
    lock.write_text(f"urllib3=={version} --hash=sha256:{'0' * 64}\n")
    words = ["--pip-audit", str(pip_audit), "--advisories", str(advisories), str(lock)]
    return subprocess.run(
        [sys.executable, "-m", "hack.audit", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_a_pin_with_a_known_vulnerability_is_found_and_a_sound_one_passes(pip_audit: Path, tmp_path: Path) -> None:
    advisories = advisory(tmp_path / "advisories", datetime.now(UTC).date())

    found = audited(pip_audit, "1.26.16", advisories, tmp_path / "lock.txt")
    assert found.returncode == 1, found.stderr
    assert "urllib3 1.26.16: PYSEC-2023-192 (CVE-2023-43804), fixed in 1.26.17" in found.stdout
    assert audited(pip_audit, "1.26.17", advisories, tmp_path / "lock.txt").returncode == 0


def test_advisories_that_end_long_ago_clear_nothing(pip_audit: Path, tmp_path: Path) -> None:
    old = advisory(tmp_path / "advisories", date(2024, 10, 10))
    found = audited(pip_audit, "1.26.17", old, tmp_path / "lock.txt")

    assert found.returncode == 3, found.stderr
    assert "the advisories end on 2024-10-10: too old to clear a lock" in found.stdout

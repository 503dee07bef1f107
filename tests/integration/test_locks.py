"""Each extra's lock installs by hash alone, and what it is for imports from it."""

import json
import os
import re
import subprocess
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

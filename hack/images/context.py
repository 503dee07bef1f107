"""The build context: requirement files, the project's wheel, and uv with the client's ordinary configuration.

`bin/` and `wheel/` are bind-mounted by the Dockerfiles while a step runs, so neither the tool nor where it fetches from
gets into an image.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from hack.cluster.paths import cache_root
from hack.images.errors import ImageError
from hack.images.recipe import Layer, sources

UV_CACHE = "/var/cache/uv"  # where the builder mounts uv's cache during a step
_FORWARDED = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_WRAPPER = '#!/bin/sh\nset -a\n. /build/bin/environment\nset +a\nexec /build/bin/uv.bin "$@"\n'


def prepare(folder: Path, layer: Layer, root: Path) -> None:
    """Fill an empty folder with what building `layer` needs."""
    for path, data in layer.files:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    _tools(folder / "bin")
    if layer.component is not None:
        _wheel(folder / "wheel", layer.component, root)


def uv_cache() -> Path:
    """The user's own uv cache."""
    return Path(_uv_output("cache", "dir"))


def _tools(folder: Path) -> None:
    folder.mkdir()
    shutil.copy(_uv(), folder / "uv.bin")
    (folder / "uv").write_text(_WRAPPER)
    (folder / "uv").chmod(0o755)
    lines = [f"UV_CACHE_DIR={UV_CACHE}", *_client_configuration(folder)]
    (folder / "environment").write_text("".join(f"{line}\n" for line in lines))


def _client_configuration(folder: Path) -> list[str]:
    """Settings by which this machine's uv reaches its package index; files are copied beside the tool."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("UV_INDEX") or name in _FORWARDED}
    kept |= {name: os.environ[name] for name in ("UV_DEFAULT_INDEX", "UV_NATIVE_TLS") if name in os.environ}
    files = {"SSL_CERT_FILE": os.environ.get("SSL_CERT_FILE"), "UV_CONFIG_FILE": os.environ.get("UV_CONFIG_FILE")}
    if files["UV_CONFIG_FILE"] is None and (own := Path.home() / ".config" / "uv" / "uv.toml").is_file():
        files["UV_CONFIG_FILE"] = str(own)
    for name, path in files.items():
        if path and Path(path).is_file():
            shutil.copy(path, folder / name.lower())
            kept[name] = f"/build/bin/{name.lower()}"
    return [f"{name}='{value}'" for name, value in sorted(kept.items())]


def _wheel(folder: Path, component: str, root: Path) -> None:
    """Build the wheel from a copy that holds the component's packages and nothing else."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch)
        for path in sources(component, root):
            target = tree / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        shutil.copy(root / "pyproject.toml", tree)
        (tree / "README.md").write_text(f"# LORE platform: {component}\n")
        _uv_output("build", "--quiet", "--wheel", "--out-dir", str(folder), str(tree))


def _uv() -> str:
    """The uv program that `make venv` installed, or the one on PATH unless that is a version manager's script."""
    installed = cache_root() / "bootstrap" / "bin" / "uv"
    for found in (str(installed), shutil.which("uv")):
        if found and Path(found).is_file() and Path(found).read_bytes()[:4] == b"\x7fELF":
            return found
    raise ImageError("uv is not installed; run: make venv")


def _uv_output(*arguments: str) -> str:
    done = subprocess.run([_uv(), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ImageError(f"uv {arguments[0]} failed:\n{done.stderr[-2000:]}")
    return done.stdout.strip()

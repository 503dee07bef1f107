"""A server's pod takes from its image what vLLM would else find out in a process of its own."""

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from lore_core.scoring.inspections import put, take

ROOT = Path(__file__).parents[3]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "qwen3.json").write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("named", "place"),
    [({"VLLM_CACHE_ROOT": "own"}, "own"), ({"XDG_CACHE_HOME": "shared"}, "shared/vllm")],
)
def test_a_new_pod_has_them_where_vllm_looks(kept: Path, tmp_path: Path, named: dict[str, str], place: str) -> None:
    environment = {name: str(tmp_path / folder) for name, folder in named.items()}
    put({**environment, "LORE_INSPECTIONS": str(kept)})
    copy = tmp_path / place / "modelinfos" / "qwen3.json"
    assert copy.read_text() == "{}"
    assert copy.stat().st_mtime == (kept / "qwen3.json").stat().st_mtime


def test_what_vllm_found_out_itself_stays(kept: Path, tmp_path: Path) -> None:
    own = tmp_path / "cache" / "modelinfos"
    own.mkdir(parents=True)
    put({"VLLM_CACHE_ROOT": str(own.parent), "LORE_INSPECTIONS": str(kept)})
    assert list(own.iterdir()) == []


def test_an_image_without_any_changes_nothing(tmp_path: Path) -> None:
    put({"VLLM_CACHE_ROOT": str(tmp_path / "cache")})
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_is_not_there_or_cannot_be_written_stops_no_server(kept: Path, tmp_path: Path) -> None:
    put({"VLLM_CACHE_ROOT": str(tmp_path / "cache"), "LORE_INSPECTIONS": str(tmp_path / "gone")})
    (tmp_path / "file").write_text("")
    put({"VLLM_CACHE_ROOT": str(tmp_path / "file" / "below"), "LORE_INSPECTIONS": str(kept)})


def test_vllm_finds_it_as_a_plugin() -> None:
    group = "vllm.general_plugins"
    (plugin,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][group].items()
    assert EntryPoint(*plugin, group).load() is take

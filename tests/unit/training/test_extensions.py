from pathlib import Path

import pytest

from lore_core.training.extensions import (
    cpu_features,
    extension_environment,
    extension_folder,
    without_stale_locks,
)


@pytest.fixture
def cpu_info(tmp_path: Path) -> Path:
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nflags\t\t: sse2 avx fpu\n")
    return path


@pytest.fixture
def image(tmp_path: Path, cpu_info: Path) -> Path:
    folder = tmp_path / "extensions"
    (folder / "op").mkdir(parents=True)
    (folder / "op" / "op.so").write_bytes(b"compiled")
    (folder / "cpu-features").write_text(cpu_features(cpu_info) + "\n")
    return folder


def test_a_pod_gets_a_writable_copy_of_what_the_image_compiled(image, cpu_info):
    found = extension_environment({"LORE_EXTENSIONS": str(image)}, cpu_info)

    copy = Path(found["TORCH_EXTENSIONS_DIR"])
    assert copy != image
    assert (copy / "op" / "op.so").read_bytes() == b"compiled"
    assert (copy / "op" / "op.so").stat().st_mtime == (image / "op" / "op.so").stat().st_mtime


def test_code_tuned_for_another_cpu_is_not_run(image, cpu_info):
    cpu_info.write_text("flags\t\t: sse2\n")

    assert extension_environment({"LORE_EXTENSIONS": str(image)}, cpu_info) == {}


def test_a_folder_that_the_user_names_is_left_alone(image, cpu_info):
    environment = {"LORE_EXTENSIONS": str(image), "TORCH_EXTENSIONS_DIR": "/somewhere"}

    assert extension_environment(environment, cpu_info) == {}


def test_outside_the_image_nothing_is_set(cpu_info):
    assert extension_environment({}, cpu_info) == {}


@pytest.fixture
def left_lock(tmp_path: Path) -> Path:
    lock = tmp_path / "py311_cpu" / "deepspeed_shm_comm" / "lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    return lock


def test_a_lock_that_a_killed_rank_left_is_removed(tmp_path, left_lock):
    with without_stale_locks(tmp_path):
        assert not left_lock.exists()


def test_a_lock_is_left_alone_while_another_training_runs(tmp_path, left_lock):
    with without_stale_locks(tmp_path):
        left_lock.touch()
        with without_stale_locks(tmp_path):
            assert left_lock.exists()


def test_the_folder_is_the_one_that_torch_uses(tmp_path):
    assert extension_folder({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "torch_extensions"
    assert extension_folder({"TORCH_EXTENSIONS_DIR": str(tmp_path / "own")}) == tmp_path / "own"

"""Which ranks a node starts, from the environment that its pod has."""

import pytest

from lore_core.jobs.errors import JobError
from lore_core.training.launch import Topology


def test_one_rank_needs_no_launcher() -> None:
    topology = Topology.from_environment({})
    assert "torch.distributed.run" not in topology.command(["c", "i", ""])
    assert topology.environment()["WORLD_SIZE"] == "1"


def test_a_pod_of_several_starts_its_own_ranks_and_meets_node_zero() -> None:
    environment = {
        "LORE_NODES": "2",
        "LORE_NPROC": "4",
        "LORE_MASTER_ADDR": "j-sft-a1-0.j",
        "JOB_COMPLETION_INDEX": "1",
    }
    topology = Topology.from_environment(environment)
    command = " ".join(topology.command(["c", "i", ""]))
    assert "--nnodes 2 --node-rank 1 --nproc-per-node 4 --master-addr j-sft-a1-0.j --master-port 29500" in command
    assert topology.world == 8


def test_stages_side_by_side_on_one_machine_do_not_share_a_port() -> None:
    ports = {Topology.from_environment({"LORE_NPROC": "2"}).master_port for _ in range(8)}
    assert len(ports) > 1


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"LORE_NODES": "2"}, "LORE_MASTER_ADDR"),
        ({"LORE_NODES": "many"}, "LORE_NODES"),
        ({"LORE_NPROC": "0"}, "LORE_NPROC"),
        ({"JOB_COMPLETION_INDEX": "-1"}, "JOB_COMPLETION_INDEX"),
    ],
)
def test_a_bad_variable_is_named(environment: dict[str, str], name: str) -> None:
    with pytest.raises(JobError, match=name):
        Topology.from_environment(environment)

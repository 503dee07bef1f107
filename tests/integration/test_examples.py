"""The manifests of examples/ name the digests of the data that this tree generates."""

from hack.demo import data, examples


def test_the_digests_in_the_examples_are_those_of_the_generated_data() -> None:
    examples.check(data.prepare().digests())

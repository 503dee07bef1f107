"""Lets vLLM inspect the model classes that the platform serves, so that a pod need not import each in a process of its own.

Run once while the image is built; lore_core/scoring/inspections.py puts the result where vLLM looks.
"""

from vllm import ModelRegistry

CLASSES = (
    "Qwen3ForCausalLM",
    "Qwen3VLForConditionalGeneration",
    "BertForSequenceClassification",
    "BertModel",
)


def main() -> None:
    """What cannot be imported on the machine that builds is left to the pod, which then finds out itself."""
    for name in CLASSES:
        try:
            ModelRegistry.models[name].inspect_model_cls()
        except RuntimeError as error:
            print(f"{name}: not inspected: {error}")


if __name__ == "__main__":
    main()

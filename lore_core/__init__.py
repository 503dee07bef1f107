"""The relevance side of the LORE platform: data, prompts, training, scoring, evaluation, strata and the router.

Nothing in this package knows of Kubernetes. Heavy libraries (torch, transformers, deepspeed, vllm, duckdb) are imported
by the functions that need them, so `import lore_core` stays light enough for the operator.
"""

__version__ = "0.1.0"

"""Label scores: the vLLM client and server, the engine's arguments, and a transformers scorer for tests and tuning.

Import from its modules: the operator needs `engine` alone, and must not load a client or numpy for it.
"""

"""The operator's only I/O: keyed work queue, API client, child watchers, observation, writes, metrics, health."""

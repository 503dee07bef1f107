"""The verbs of `lore` that read a cluster, through kubectl (ADR 0011). Nothing here writes to one."""

"""Further ways to a router, beside its Service: a Gateway API route, and a KServe InferenceGraph before it."""

from typing import Annotated

from pydantic import Field

from lore_core.jobs.config import Name
from lore_operator.api.v1alpha1.common import ApiModel, Duration, ObjectName
from lore_operator.api.v1alpha1.schema_hints import atomic, list_set
from lore_operator.api.v1alpha1.tiers import Replicas

HostName = Annotated[
    str,
    Field(
        pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        min_length=1,
        max_length=253,
    ),
]


class GatewayParent(ApiModel):
    """A Gateway that takes the route."""

    name: ObjectName
    """Name of the Gateway."""
    namespace: Name | None = None
    """Its namespace, where it is another one; its listeners must allow routes from here."""
    section_name: ObjectName | None = None
    """One of its listeners; all that fit without it."""


class GatewayRoute(ApiModel):
    """A Gateway API HTTPRoute to the router's Service. /v1 and /v2 pass; probes, /state and /metrics do not."""

    parents: Annotated[tuple[GatewayParent, ...], atomic(8, min_items=1)]
    """Gateways."""
    hostnames: Annotated[tuple[HostName, ...], *list_set(16)] = ()
    """Host names that callers use; all of the listener's without any."""


class InferenceGraph(ApiModel):
    """A KServe InferenceGraph before the router, for callers that reach models as graphs.

    One address for both shapes: a body with `documents` goes to /v1/rerank, one with `items` to /v1/relevance. KServe's graph
    router passes no headers on and has no fallback of its own.
    """

    replicas: Replicas = Replicas()
    """How many pods KServe's graph router has."""
    timeout: Duration = "5s"
    """Longest time for one question, in whole seconds."""

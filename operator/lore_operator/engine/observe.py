"""Fills a decision's view of the world: from the watch caches, or live where something is about to be overwritten or deleted."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from lore_operator.children.disruption import KSERVE_NAME
from lore_operator.children.labels import WATCH_SELECTOR, owner_labels, owner_of
from lore_operator.children.report_access import SHARED, SHARED_KINDS
from lore_operator.children.router import router_name
from lore_operator.children.settings import Settings
from lore_operator.engine import resources
from lore_operator.engine.absences import Absences
from lore_operator.engine.client import KubeClient, Manifest
from lore_operator.engine.errors import Forbidden, NotFound
from lore_operator.engine.keys import Key
from lore_operator.engine.projection import trim
from lore_operator.engine.resources import Resource
from lore_operator.engine.router_state import router_endpoints
from lore_operator.engine.watcher import Watcher
from lore_operator.plan.types import ObjectKey, Observed, Reference

_CHILDREN: Final = (
    resources.JOBS,
    resources.JOB_SETS,
    resources.CONFIG_MAPS,
    resources.SERVICES,
    resources.SERVICE_ACCOUNTS,
    resources.ROLES,
    resources.ROLE_BINDINGS,
    resources.WORKLOADS,
    resources.REVISIONS,
    resources.BUDGETS,
    resources.INFERENCE_GRAPHS,
    resources.HTTP_ROUTES,
)
WATCHED: Final = (*_CHILDREN, resources.PODS, resources.ENDPOINT_SLICES, resources.INFERENCE_SERVICES)
_RESOURCES: Final = {resource.kind: resource for resource in resources.ALL}
_SERVED: Final = "InferenceService"
_OF_SERVED: Final = (resources.WORKLOADS, resources.BUDGETS)
"""What belongs to an InferenceService by its label, beside pods."""
_ADVISORY: Final = frozenset({resources.CLAIMS.kind})
"""Kinds whose reading may be refused: what is decided by them is decided without them then, and said."""
_BESIDE_SERVED: Final = frozenset({resources.PODS.kind, *(resource.kind for resource in _OF_SERVED)})


def shared_by_all(settings: Settings) -> frozenset[Reference]:
    """What all resources of a namespace use, and so carries no owner's label."""
    return frozenset(Reference(kind, SHARED) for kind in SHARED_KINDS) if settings.shared_account else frozenset()


def owners(manifest: Manifest) -> Iterator[Key]:
    """Whom an object wakes: its owner by label, our resources among its ownerReferences, the InferenceService it serves."""
    namespace, labels = manifest["metadata"]["namespace"], manifest["metadata"].get("labels") or {}
    named = owner_of(manifest)
    found = {Key(named[0], namespace, named[1])} if named else set()
    found |= set(resources.owners(manifest))
    if KSERVE_NAME in labels and manifest["kind"] in _BESIDE_SERVED:
        found.add(Key(_SERVED, namespace, labels[KSERVE_NAME]))
    yield from sorted(found)


class Observer:
    """Sees what belongs to a resource. One set of watchers for each namespace, or one for all namespaces."""

    def __init__(
        self,
        client: KubeClient,
        watchers: Mapping[str, tuple[Watcher, ...]],
        shared: frozenset[Reference] = frozenset(),
        absences: Absences | None = None,
    ) -> None:
        self._client, self._watchers, self._shared = client, watchers, shared
        self._absences = absences or Absences()

    async def cached(self, key: Key, references: frozenset[Reference]) -> Observed:
        """The world as the watches last told it; routers are read live, and references unless they are known to be absent."""
        references = frozenset(item for item in references if (key.namespace, item) not in self._absences)
        children = {_key(child): child for kind in _kinds(key) for child in self._owned(kind, key)}
        for name in [key.name for key in children if key.kind == _SERVED]:
            for resource in _OF_SERVED:
                for child in self._owned(resource.kind, Key(_SERVED, key.namespace, name)):
                    children[_key(child)] = child
        observed = await self._complete(key, references, children, self._pods(key, children))
        return replace(observed, references={**observed.references, **self._shared_here(key.namespace)})

    async def live(self, key: Key, references: frozenset[Reference]) -> Observed:
        """The world as the API server tells it now."""
        selector = ",".join(f"{name}={value}" for name, value in owner_labels(key.kind, key.name).items())
        listings = await asyncio.gather(
            *(self._list(resource, key.namespace, selector) for resource in (*_CHILDREN, resources.PODS))
        )
        children = {_key(item): item for listing in listings[:-1] for item in listing}
        pods = listings[-1]
        if key.kind == "RelevanceDeployment":
            served = await self._list(resources.INFERENCE_SERVICES, key.namespace, WATCH_SELECTOR)
            mine = [item for item in served if key in set(resources.owners(item))]
            children |= {_key(item): item for item in mine}
            for item in mine:
                selector = f"{KSERVE_NAME}={item['metadata']['name']}"
                for resource in _OF_SERVED:
                    children |= {_key(made): made for made in await self._list(resource, key.namespace, selector)}
                pods += await self._list(resources.PODS, key.namespace, selector)
        return await self._complete(key, references | self._shared, children, tuple(pods))

    async def with_child(self, observed: Observed, key: Key, child: ObjectKey) -> Observed:
        """The same view with one more object, read live: what stands under a name that a create found taken."""
        found = await self._client.get(_RESOURCES[child.kind], key.namespace, child.name)
        return replace(observed, children={**observed.children, child: trim(found)})

    def assume(self, written: Manifest, writer: Key) -> None:
        """Our own write for one resource, before the watch reports it."""
        metadata = written["metadata"]
        self._absences.heard_of((metadata["namespace"], Reference(written["kind"], metadata["name"])))
        for watcher in self._watchers.get(written["kind"], ()):
            watcher.assume(written, writer)

    def owners_of_served(self, key: Key) -> tuple[Key, ...]:
        """The resources that share an InferenceService."""
        found = (watcher.owners_at(key.namespace, key.name) for watcher in self._watchers.get(_SERVED, ()))
        return tuple(owner for owners in found for owner in owners)

    async def _complete(
        self, key: Key, references: frozenset[Reference], children: dict[ObjectKey, Manifest], pods: Iterable[Manifest]
    ) -> Observed:
        slices = self._owned("EndpointSlice", key) if key.kind == "RelevanceDeployment" else ()
        refused: dict[str, str] = {}
        found = await self._look(key.namespace, references, refused)
        routers = await router_endpoints(slices, router_name(key.name))
        return Observed(children=children, pods=tuple(pods), references=found, routers=routers, refused=refused)

    async def _look(
        self, namespace: str, references: frozenset[Reference], refused: dict[str, str]
    ) -> dict[ObjectKey, Manifest]:
        if not references:
            return {}
        found = await asyncio.gather(
            *(self._referenced(namespace, reference, refused) for reference in sorted(references, key=str))
        )
        return {_key(item): item for items in found for item in items}

    async def _referenced(self, namespace: str, reference: Reference, refused: dict[str, str]) -> list[Manifest]:
        resource = _RESOURCES[reference.kind]
        if reference.name is None:
            return (await self._client.list_all(resource, namespace)).items
        if reference.kind in _ADVISORY:
            return await self._advisory(resource, namespace, reference.name, refused)
        place = (namespace, reference)
        self._absences.ask(place)
        try:
            found = await self._client.get(resource, namespace, reference.name)
        except NotFound:
            self._absences.missing(place)
            return []
        self._absences.heard_of(place)
        return [found]

    async def _advisory(self, resource: Resource, namespace: str, name: str, refused: dict[str, str]) -> list[Manifest]:
        """Read anew each time: no watch would tell that it came, or that the right to read it did."""
        try:
            return [await self._client.get(resource, namespace, name)]
        except NotFound:
            return []
        except Forbidden as error:
            refused[resource.kind] = error.message
            return []

    async def _list(self, resource: Resource, namespace: str, selector: str) -> list[Manifest]:
        try:
            return (await self._client.list_all(resource, namespace, selector, keep=trim)).items
        except NotFound:
            return []  # the kind is not installed: nothing of it exists

    def _shared_here(self, namespace: str) -> dict[ObjectKey, Manifest]:
        found = (
            watcher.find(namespace, str(reference.name))
            for reference in self._shared
            for watcher in self._watchers.get(reference.kind, ())
        )
        return {_key(item): item for item in found if item is not None}

    def _owned(self, kind: str, key: Key) -> Iterator[Manifest]:
        for watcher in self._watchers.get(kind, ()):
            yield from watcher.owned(key)

    def _pods(self, key: Key, children: Mapping[ObjectKey, Manifest]) -> tuple[Manifest, ...]:
        served = [Key(_SERVED, key.namespace, child.name) for child in children if child.kind == _SERVED]
        return tuple(pod for owner in (key, *served) for pod in self._owned("Pod", owner))


def _kinds(key: Key) -> tuple[str, ...]:
    kinds = tuple(resource.kind for resource in _CHILDREN)
    return (*kinds, _SERVED) if key.kind == "RelevanceDeployment" else kinds


def _key(item: Manifest) -> ObjectKey:
    return ObjectKey(item["kind"], item["metadata"]["name"])

"""What a person must be allowed to read a namespace's pages, and what the console itself asks for."""

import asyncio
from typing import Final

from lore_operator.engine.client import KubeClient
from lore_operator.engine.resources import KINDS
from lore_operator.engine.reviews import REVIEWS, NoUser, User, allowed, user_of

__all__ = ["READ", "REVIEWS", "NoUser", "NotAllowed", "User", "require_reader", "user_of"]

READ: Final = tuple(kind._replace(verbs=("list",)) for kind in KINDS.values())
"""What the console reads, beside the reviews that it asks for."""


class NotAllowed(Exception):
    """The person may not read this namespace; the message names what is lacking."""


async def require_reader(client: KubeClient, user: User, namespace: str) -> None:
    """NotAllowed unless the user may list each of our kinds in the namespace."""
    may = await asyncio.gather(
        *(
            allowed(
                client,
                user,
                namespace=namespace,
                verb="list",
                group=kind.group,
                version=kind.version,
                resource=kind.plural,
            )
            for kind in READ
        )
    )
    lacking = [f"{kind.plural}.{kind.group}" for kind, granted in zip(READ, may, strict=True) if not granted]
    if lacking:
        raise NotAllowed(
            f"{user['username']} may not list {', '.join(lacking)} in the namespace {namespace};"
            " ask for the cluster role view there: the chart adds these kinds to it"
        )

"""Whose token a request carries, and whether that person may read a namespace: the API server decides both."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final

from lore_operator.engine.client import KubeClient
from lore_operator.engine.resources import KINDS, Resource

TOKEN_REVIEWS: Final = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", ("create",))
ACCESS_REVIEWS: Final = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", ("create",)
)
REVIEWS: Final = (TOKEN_REVIEWS, ACCESS_REVIEWS)
"""What the console creates: questions that the API server answers and does not store."""
READ: Final = tuple(kind._replace(verbs=("list",)) for kind in KINDS.values())
"""What it reads."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, b64token
_LONGEST_TOKEN: Final = 16 * 1024
User = Mapping[str, Any]


class NoUser(Exception):
    """There is no token, or the API server does not accept it."""


class NotAllowed(Exception):
    """The person may not read this namespace; the message names what is lacking."""


async def user_of(client: KubeClient, token: str) -> User:
    """The user whose token it is (username, uid, groups, extra). NoUser where it is nobody's."""
    if not token:
        raise NoUser("sign in first")
    if len(token) > _LONGEST_TOKEN or not _TOKEN.fullmatch(token):
        raise NoUser("this is no bearer token")
    answer = await client.review(_review(TOKEN_REVIEWS, {"token": token}), TOKEN_REVIEWS)
    status = answer.get("status") or {}
    if status.get("authenticated") is not True or not (status.get("user") or {}).get("username"):
        raise NoUser("the API server does not accept this token; it may have expired")
    return dict(status["user"])


async def require_reader(client: KubeClient, user: User, namespace: str) -> None:
    """NotAllowed unless the user may list each of our kinds in the namespace."""
    allowed = await asyncio.gather(*(_may_list(client, user, namespace, kind) for kind in READ))
    lacking = [f"{kind.plural}.{kind.group}" for kind, may in zip(READ, allowed, strict=True) if not may]
    if lacking:
        raise NotAllowed(
            f"{user['username']} may not list {', '.join(lacking)} in the namespace {namespace};"
            " ask for the cluster role view there: the chart adds these kinds to it"
        )


async def _may_list(client: KubeClient, user: User, namespace: str, kind: Resource) -> bool:
    wanted = {
        "namespace": namespace,
        "verb": "list",
        "group": kind.group,
        "version": kind.version,
        "resource": kind.plural,
    }
    subject = {
        "user": user["username"],
        **{field: user[field] for field in ("uid", "groups", "extra") if user.get(field)},
    }
    review = _review(ACCESS_REVIEWS, {**subject, "resourceAttributes": wanted})
    status = (await client.review(review, ACCESS_REVIEWS)).get("status") or {}
    return status.get("allowed") is True and status.get("denied") is not True


def _review(resource: Resource, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "spec": dict(spec)}

"""Whose token a request carries, and what that person may: the API server decides both, anew for every request.

TokenReview of authentication.k8s.io/v1, SubjectAccessReview of authorization.k8s.io/v1; neither is stored.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lore_operator.engine.client import KubeClient
from lore_operator.engine.resources import Resource

TOKEN_REVIEWS: Final = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", ("create",))
ACCESS_REVIEWS: Final = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", ("create",)
)
REVIEWS: Final = (TOKEN_REVIEWS, ACCESS_REVIEWS)

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, b64token
_LONGEST_TOKEN: Final = 16 * 1024
User = Mapping[str, Any]
"""`username`, `uid`, `groups` and `extra` as the API server knows them."""


class NoUser(Exception):
    """There is no token, or the API server does not accept it."""


async def user_of(client: KubeClient, token: str, audiences: Sequence[str] = ()) -> User:
    """The user whose token it is, for one of these audiences; without any the API server's own counts. NoUser for nobody."""
    if not token:
        raise NoUser("sign in first")
    if len(token) > _LONGEST_TOKEN or not _TOKEN.fullmatch(token):
        raise NoUser("this is no bearer token")
    spec = {"token": token, **({"audiences": list(audiences)} if audiences else {})}
    status = (await client.review(_review(TOKEN_REVIEWS, spec), TOKEN_REVIEWS)).get("status") or {}
    if status.get("authenticated") is not True or not (status.get("user") or {}).get("username"):
        raise NoUser("the API server does not accept this token; it may have expired")
    if audiences and not set(audiences) & set(status.get("audiences") or ()):
        raise NoUser("this token is for another audience")  # an authenticator that knows no audiences vouches for none
    return dict(status["user"])


async def allowed(client: KubeClient, user: User, **wanted: str) -> bool:
    """Whether the user may do what `wanted` says (verb, group, resource, namespace, name)."""
    asked_by = {
        "user": user["username"],
        **{field: user[field] for field in ("uid", "groups", "extra") if user.get(field)},
    }
    review = _review(ACCESS_REVIEWS, {**asked_by, "resourceAttributes": wanted})
    status = (await client.review(review, ACCESS_REVIEWS)).get("status") or {}
    return status.get("allowed") is True and status.get("denied") is not True


def _review(resource: Resource, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "spec": dict(spec)}

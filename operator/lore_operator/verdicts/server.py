"""`GET /v1/namespaces/NAMESPACE/evaluations/NAME`: the HTTP side, which holds no state."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from lore_operator.engine.client import KubeClient
from lore_operator.engine.errors import ApiError, Forbidden, NotFound
from lore_operator.engine.resources import EVALS
from lore_operator.engine.reviews import NoUser, allowed, user_of
from lore_operator.verdicts.answer import answer

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_SAFE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def application(client: KubeClient, audiences: Sequence[str]) -> web.Application:
    """The routes; `client` asks with this server's own account."""

    async def alive(_: web.Request) -> web.Response:
        return _json(200, {"ok": True})

    async def verdict(request: web.Request) -> web.Response:
        try:
            return await _verdict(client, audiences, request)
        except ApiError as error:
            return _json(503, {"error": f"the API server cannot be asked: {error.reason}"}, {"Retry-After": "5"})

    app = web.Application()
    app.add_routes(
        [web.get("/healthz", alive), web.get("/v1/namespaces/{namespace}/evaluations/{name}", verdict)],
    )
    return app


async def _verdict(client: KubeClient, audiences: Sequence[str], request: web.Request) -> web.Response:
    namespace, name = request.match_info["namespace"], request.match_info["name"]
    if not (_NAME.fullmatch(namespace) and _NAME.fullmatch(name)):
        return _json(400, {"error": "namespace and name are names of Kubernetes objects"})
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    try:
        user = await user_of(client, token.strip() if scheme.lower() == "bearer" else "", audiences)
    except NoUser as problem:
        told = f"give a valid bearer token of a Kubernetes account: {problem}"
        return _json(401, {"error": told}, {"WWW-Authenticate": "Bearer"})
    wanted = {"verb": "get", "group": EVALS.group, "resource": EVALS.plural, "namespace": namespace, "name": name}
    if not await allowed(client, user, **wanted):
        return _json(403, {"error": f"{user['username']} may not get relevanceevals/{name} in {namespace}"})
    return await _found(client, namespace, name, request.query.get("modelDigest"))


async def _found(client: KubeClient, namespace: str, name: str, digest: str | None) -> web.Response:
    try:
        evaluation = await client.get(EVALS, namespace, name)
    except NotFound:
        return _json(404, {"error": f"there is no RelevanceEval {name} in {namespace}"})
    except Forbidden:
        return _json(404, {"error": f"this server does not serve namespace {namespace}"})
    found = answer(evaluation, datetime.now(UTC))
    about = (found.get("model") or {}).get("digest")
    if digest is not None and about is not None and about != digest:
        return _json(409, {"error": f"the evaluation is about model {about}, not {digest}"})
    if digest is not None and about is None and found["verdict"]:
        return _json(409, {"error": f"the evaluation judges {found.get('subject')}, no model of digest {digest}"})
    return _json(200, found)


def _json(status: int, body: object, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(body, status=status, headers={**_SAFE, **(headers or {})})

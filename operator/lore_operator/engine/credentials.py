"""Where the apiserver is and how to log in: kopf's own login, once for kopf and for the engine.

kopf's minimal logins need no Kubernetes client library, which would cost the process some 50 MiB. Only a kubeconfig that
asks a plugin for its credentials (`exec`) goes through that library.
"""

import logging
import os

from lore_operator.engine.framework import kopf


class NoCluster(Exception):
    """Neither a service account nor a kubeconfig is there."""


def connect() -> kopf.ConnectionInfo:
    """Credentials from `KUBECONFIG`, else from the pod's service account, else from the home folder's kubeconfig."""
    settings = kopf.OperatorSettings()
    in_pod = None if os.environ.get("KUBECONFIG") else kopf.login_with_service_account(settings=settings)
    info = in_pod or kopf.login_with_kubeconfig(settings=settings)
    if info is None:
        raise NoCluster("no cluster: set KUBECONFIG, or run in a pod with a service account")
    if info.as_http_headers() or info.certificate_path or info.certificate_data:
        return info
    try:
        return kopf.login_via_client(logger=logging.getLogger(__name__), settings=settings) or info
    except ImportError as error:
        raise NoCluster("this kubeconfig runs a plugin for its credentials: install the package kubernetes") from error

"""The library's client of one cluster: from a kubeconfig file, or from inside the cluster."""

import functools
import os
from pathlib import Path
from typing import Any

from engine.errors import Unreachable


def connect(kubeconfig: str, context: str) -> Any:
    """A client; without both, of the cluster in which this code runs, else by ~/.kube/config. Raises Unreachable."""
    from kubernetes import config  # type: ignore[import-untyped]  # it has no types

    named = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0] or config.KUBE_CONFIG_DEFAULT_LOCATION
    file = Path(kubeconfig or named).expanduser()
    try:
        if not kubeconfig and not context and "KUBERNETES_SERVICE_HOST" in os.environ:
            try:
                return _connected("", "", 0)
            except config.ConfigException:
                if not file.exists():  # a pod without a service account, and nothing else either
                    raise
        return _connected(str(file), context, file.stat().st_mtime_ns)
    except (config.ConfigException, OSError) as error:
        raise Unreachable(
            f"No Kubernetes cluster is configured: {str(error).rstrip('.')}.",
            "Give its kubeconfig file and its context, or run inside the cluster.",
        ) from None


@functools.lru_cache(maxsize=16)
def _connected(file: str, context: str, changed: int) -> Any:
    """A client of the cluster; `changed` makes a new one when the file has changed."""
    from kubernetes import client, config

    settings = client.Configuration()
    if file:
        config.load_kube_config(file, context or None, settings, persist_config=False)
    else:
        config.load_incluster_config(client_configuration=settings)
    settings.retries = False  # `Api.call` tries again, and knows what may be
    return client.ApiClient(settings)

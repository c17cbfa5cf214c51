"""The library's client of one cluster: from a kubeconfig file, or from inside the cluster."""

import functools
import os
from pathlib import Path
from typing import Any

from engine.errors import Unreachable


def connect(kubeconfig: str, context: str) -> Any:
    from kubernetes import config  # type: ignore[import-untyped]  # it has no types

    inside = not kubeconfig and not context and "KUBERNETES_SERVICE_HOST" in os.environ
    file = (
        kubeconfig
        or os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
        or config.KUBE_CONFIG_DEFAULT_LOCATION
    )
    try:
        changed = 0 if inside else Path(file).expanduser().stat().st_mtime_ns
        return _connected("" if inside else str(Path(file).expanduser()), context, changed)
    except (config.ConfigException, OSError) as error:
        raise Unreachable(
            f"No Kubernetes cluster is configured: {error}.",
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

"""A Traefik installation's view: its static configuration and version, from its pods."""

from __future__ import annotations

import posixpath

from hopcheck.behaviour.traefik.discovery import Instance, traefik_container
from hopcheck.behaviour.traefik.route import View
from hopcheck.behaviour.traefik.static import static_config
from hopcheck.behaviour.traefik.version import Version, version_of_image
from hopcheck.model import KubeEvidence, Obj


def config_files(pod: Obj, container: Obj, kube: KubeEvidence) -> dict[str, str]:
    """The container's files from ConfigMaps, as far as they were read: path -> text."""
    spec = pod.get("spec") or {}
    namespace = (pod.get("metadata") or {}).get("namespace", "")
    sources = {
        volume.get("name"): volume.get("configMap")
        for volume in spec.get("volumes") or ()
        if volume.get("configMap")
    }
    files: dict[str, str] = {}
    for mount in container.get("volumeMounts") or ():
        source = sources.get(mount.get("name"))
        if source is None:
            continue
        read = kube.one("configmaps", namespace, str(source.get("name", "")))
        data = (read.get().get("data") or {}) if read.seen else {}
        items = source.get("items")
        named = {i.get("path"): i.get("key") for i in items} if items else {k: k for k in data}
        base, part = str(mount.get("mountPath", "")), mount.get("subPath")
        for path, key in named.items():
            if key not in data or (part and part != path):
                continue
            files[base if part else posixpath.join(base, str(path))] = str(data[key])
    return files


def view_of_pod(name: str, pod: Obj, kube: KubeEvidence, version: Version | None = None) -> View:
    """The view of one Traefik pod; `version` (from its API) beats the image's tag."""
    container = traefik_container(pod)
    files = config_files(pod, container, kube) if container else {}
    tagged = version_of_image(str((container or {}).get("image", "")))
    return View(name=name, static=static_config(pod, files=files), version=version or tagged)


def view_of(instance: Instance, kube: KubeEvidence, version: Version | None = None) -> View:
    """The view of an installation, from its newest pod."""
    name = f"{instance.namespace}/{instance.name}"

    def made(pod: Obj) -> str:
        return str((pod.get("metadata") or {}).get("creationTimestamp") or "")

    if not instance.pods:
        return View(name=name, static=static_config({}), version=version)
    return view_of_pod(name, max(instance.pods, key=made), kube, version)

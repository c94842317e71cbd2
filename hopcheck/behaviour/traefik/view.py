"""A Traefik installation's view: its static configuration and version, from its pods."""

from __future__ import annotations

import posixpath

from hopcheck.behaviour.traefik.discovery import Instance, traefik_container
from hopcheck.behaviour.traefik.route import View
from hopcheck.behaviour.traefik.static import static_config
from hopcheck.behaviour.traefik.version import Version, version_of_image
from hopcheck.model import KubeEvidence
from hopcheck.model.kubernetes import ConfigMap, Container, Pod


def config_files(pod: Pod, container: Container, kube: KubeEvidence) -> dict[str, str]:
    """The container's files from ConfigMaps, as far as they were read: path -> text."""
    namespace = pod.namespace
    sources = {volume.name: volume.config_map for volume in pod.spec.volumes if volume.config_map}
    files: dict[str, str] = {}
    for mount in container.volume_mounts:
        source = sources.get(mount.name)
        if source is None:
            continue
        read = kube.find(ConfigMap, namespace, source.name)
        data = read.get().data if read.seen else {}
        items = source.items
        named = {i.path: i.key for i in items} if items else {key: key for key in data}
        base, part = mount.mount_path, mount.sub_path
        for path, key in named.items():
            if key not in data or (part and part != path):
                continue
            files[base if part else posixpath.join(base, path)] = data[key]
    return files


def view_of_pod(name: str, pod: Pod, kube: KubeEvidence, version: Version | None = None) -> View:
    """The view of one Traefik pod; `version` (from its API) beats the image's tag."""
    container = traefik_container(pod)
    files = config_files(pod, container, kube) if container else {}
    tagged = version_of_image(container.image) if container is not None else None
    return View(name=name, static=static_config(pod, files=files), version=version or tagged)


def view_of(instance: Instance, kube: KubeEvidence, version: Version | None = None) -> View:
    """The view of an installation, from its newest pod."""
    name = f"{instance.namespace}/{instance.name}"

    def made(pod: Pod) -> str:
        return pod.metadata.creation_timestamp

    if not instance.pods:
        return View(name=name, static=static_config(Pod()), version=version)
    return view_of_pod(name, max(instance.pods, key=made), kube, version)

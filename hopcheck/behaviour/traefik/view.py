"""A Traefik installation's view: its static configuration and version, from its pods."""

from __future__ import annotations

import posixpath

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

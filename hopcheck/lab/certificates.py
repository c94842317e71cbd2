"""The lab's two certificate authorities: the cluster's own and the one that clients trust."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificates:
    """Files in PEM form, and the site's certificate and key as bytes."""

    cluster_ca: Path
    cluster_certificate: Path
    cluster_key: Path
    public_ca: Path
    site_certificate: bytes  # leaf and chain
    site_key: bytes
    public: trustme.CA  # issues further certificates for clients' eyes

    @classmethod
    def make(cls, directory: Path, api_names: Iterable[str], host: str) -> Certificates:
        """Make both authorities and one certificate of each; files go into `directory`."""
        cluster, public = trustme.CA(), trustme.CA()
        api = cluster.issue_cert(*sorted(set(api_names)))
        site = public.issue_cert(host)
        found = cls(
            cluster_ca=directory / "cluster-ca.pem",
            cluster_certificate=directory / "apiserver.pem",
            cluster_key=directory / "apiserver.key",
            public_ca=directory / "ca.pem",
            site_certificate=b"".join(blob.bytes() for blob in site.cert_chain_pems),
            site_key=site.private_key_pem.bytes(),
            public=public,
        )
        cluster.cert_pem.write_to_path(str(found.cluster_ca))
        public.cert_pem.write_to_path(str(found.public_ca))
        for blob in api.cert_chain_pems:
            blob.write_to_path(str(found.cluster_certificate), append=True)
        api.private_key_pem.write_to_path(str(found.cluster_key))
        return found

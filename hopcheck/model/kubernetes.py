"""Kubernetes objects: core, apps, discovery, networking, Gateway API and Traefik's own kinds."""

from __future__ import annotations

from collections.abc import Mapping

from hopcheck.model.evidence import Obj
from hopcheck.model.read import (
    ABSENT,
    Shape,
    anything,
    by_name,
    each,
    fields,
    number,
    objects,
    port,
    strings,
    text,
    texts,
    truth,
)

_OWNER = fields({"kind": text, "name": text, "apiVersion": text, "controller": truth})
_MANAGER = fields({
    "manager": text, "operation": text, "time": text, "subresource": text,
    "fieldsV1": fields({"f:metadata": fields({"f:labels": by_name(anything),
                                              "f:annotations": by_name(anything)}),
                        "f:data": by_name(anything)}),
})  # fmt: skip
_METADATA = fields(
    {
        "name": text, "namespace": text, "uid": text, "labels": texts, "annotations": texts,
        "creationTimestamp": text, "deletionTimestamp": text, "generation": number,
        "resourceVersion": text, "ownerReferences": each(_OWNER), "managedFields": each(_MANAGER),
    },
    name="",
)  # fmt: skip
_EXPRESSION = fields({"key": text, "operator": text, "values": strings})
_SELECTOR = fields({"matchLabels": texts, "matchExpressions": each(_EXPRESSION)})
_CONDITION = fields({"type": text, "status": text, "reason": text, "message": text})

# --- pods, workloads, nodes

_PROBE = fields({
    "httpGet": fields({"path": text, "port": port, "scheme": text}),
    "tcpSocket": fields({"port": port}),
    "exec": fields({"command": strings}),
    "grpc": fields({"port": number}),
})  # fmt: skip
_CONTAINER = fields({
    "name": text, "image": text, "args": strings, "command": strings,
    "ports": each(fields({"name": text, "containerPort": number, "hostPort": number,
                          "protocol": text, "hostIP": text}, containerPort=0)),
    "env": each(fields({"name": text, "value": text,
                        "valueFrom": fields({"configMapKeyRef": fields({}),
                                             "secretKeyRef": fields({})})})),
    "volumeMounts": each(fields({"name": text, "mountPath": text, "subPath": text})),
    "livenessProbe": _PROBE, "readinessProbe": _PROBE, "startupProbe": _PROBE,
})  # fmt: skip
_ITEMS = each(fields({"key": text, "path": text}))
_SOURCE = fields({"name": text, "items": _ITEMS})
_VOLUME = fields({
    "name": text, "configMap": _SOURCE,
    "secret": fields({"secretName": text, "items": _ITEMS}),
    "projected": fields({"sources": each(fields({"configMap": _SOURCE, "secret": _SOURCE}))}),
})  # fmt: skip
_POD_SPEC = fields({
    "nodeName": text, "hostNetwork": truth, "serviceAccountName": text, "nodeSelector": texts,
    "volumes": each(_VOLUME), "readinessGates": each(fields({"conditionType": text})),
    "containers": each(_CONTAINER), "initContainers": each(_CONTAINER),
})  # fmt: skip
_STATE = fields({
    "waiting": fields({"reason": text, "message": text}),
    "running": fields({"startedAt": text}),
    "terminated": fields({"reason": text, "message": text, "exitCode": number,
                          "finishedAt": text}),
})  # fmt: skip
_CONTAINER_STATUS = each(fields({
    "name": text, "ready": truth, "restartCount": number, "state": _STATE, "lastState": _STATE,
}))  # fmt: skip
_WORKLOAD_SPEC = fields({
    "replicas": number, "selector": _SELECTOR,
    "template": fields({"metadata": fields({"labels": texts, "annotations": texts}),
                        "spec": _POD_SPEC}),
})  # fmt: skip
_STATUS = fields({
    "conditions": each(_CONDITION),
    # pods
    "phase": text, "podIP": text, "hostIP": text, "reason": text, "message": text,
    "podIPs": each(fields({"ip": text})),
    "containerStatuses": _CONTAINER_STATUS, "initContainerStatuses": _CONTAINER_STATUS,
    # workloads
    "replicas": number, "readyReplicas": number, "numberReady": number,
    # nodes and Gateways
    "addresses": each(fields({"type": text, "address": text, "value": text}, address="")),
    "listeners": each(fields({"name": text, "conditions": each(_CONDITION)})),
    # Services and Ingresses
    "loadBalancer": fields({"ingress": each(fields({"ip": text, "hostname": text}))}),
    # HTTPRoutes
    "parents": each(fields({"parentRef": fields({"name": text, "namespace": text}),
                            "conditions": each(_CONDITION)})),
})  # fmt: skip

# --- Services, slices, policies

_SERVICE_SPEC = fields({
    "type": text, "clusterIP": text, "clusterIPs": strings, "externalName": text,
    "externalTrafficPolicy": text, "internalTrafficPolicy": text, "externalIPs": strings,
    "selector": texts, "healthCheckNodePort": number, "publishNotReadyAddresses": truth,
    "loadBalancerClass": text,
    "ports": each(fields({"name": text, "port": number, "nodePort": number, "targetPort": port,
                          "protocol": text, "appProtocol": text})),
})  # fmt: skip
_SLICE: Mapping[str, Shape] = {
    "addressType": text,
    "endpoints": each(fields({
        "addresses": strings, "hostname": text, "nodeName": text, "zone": text,
        "conditions": fields({"ready": truth, "serving": truth, "terminating": truth}),
        "targetRef": fields({"kind": text, "name": text, "namespace": text}),
    })),
    "ports": each(fields({"name": text, "port": number, "protocol": text})),
}  # fmt: skip
_POLICY_RULE = fields({
    "from": each(fields({"podSelector": _SELECTOR, "namespaceSelector": _SELECTOR,
                         "ipBlock": fields({"cidr": text, "except": strings})})),
    "ports": each(fields({"protocol": text, "port": port, "endPort": number})),
})  # fmt: skip

# --- routes

_INGRESS_BACKEND = fields({
    "service": fields({"name": text, "port": fields({"name": text, "number": number})}, name=""),
    "resource": fields({"kind": text, "name": text}),
})  # fmt: skip
_INGRESS_SPEC = fields({
    "ingressClassName": text, "defaultBackend": _INGRESS_BACKEND,
    "tls": each(fields({"hosts": strings, "secretName": text})),
    "rules": each(fields({
        "host": text,
        "http": fields({"paths": each(fields({
            "path": text, "pathType": text, "backend": _INGRESS_BACKEND,
        }))}),
    })),
})  # fmt: skip
_REFERENCE = fields({"name": text, "namespace": text}, name="")
_TRAEFIK_SERVICE: Mapping[str, Shape] = {
    "name": text, "namespace": text, "kind": text, "port": port, "scheme": text,
    "serversTransport": text, "nativeLB": truth, "weight": number, "passHostHeader": truth,
    "percent": number,
}  # fmt: skip
_SERVICE = fields(_TRAEFIK_SERVICE, name="")
_PARTS = each(_SERVICE)
_TRAEFIK_TLS = fields({
    "secretName": text, "certResolver": text, "passthrough": truth,
    "options": _REFERENCE, "store": _REFERENCE,
    "domains": each(fields({"main": text, "sans": strings})),
})  # fmt: skip
_ROUTE_SPEC = fields({
    "ingressClassName": text, "entryPoints": strings, "tls": _TRAEFIK_TLS,
    "parentRefs": each(fields({"name": text, "namespace": text, "kind": text,
                               "sectionName": text})),
    "routes": each(fields({
        "match": text, "kind": text, "priority": number, "syntax": text, "services": _PARTS,
        "middlewares": each(_REFERENCE), "tls": fields({"options": _REFERENCE}),
    })),
})  # fmt: skip
_MIDDLEWARE_SPEC = fields({
    "errors": fields({"service": _SERVICE, "status": strings, "query": text}),
    "forwardAuth": fields({"address": text, "tls": fields({"certSecret": text,
                                                           "caSecret": text})}),
    "basicAuth": fields({"secret": text}), "digestAuth": fields({"secret": text}),
    "plugin": by_name(anything), "chain": fields({"middlewares": each(_REFERENCE)}),
    "stripPrefix": fields({"prefixes": strings}), "stripPrefixRegex": fields({"regex": strings}),
    "addPrefix": fields({"prefix": text}), "replacePath": fields({"path": text}),
    "replacePathRegex": fields({"regex": text, "replacement": text}),
    "redirectRegex": fields({"regex": text, "replacement": text, "permanent": truth}),
    "redirectScheme": fields({"scheme": text, "port": text, "permanent": truth}),
    "ipAllowList": fields({"sourceRange": strings}),
    "ipWhiteList": fields({"sourceRange": strings}),
})  # fmt: skip
_GATEWAY_REFERENCE = fields(
    {"name": text, "namespace": text, "kind": text, "group": text, "port": number,
     "weight": number, "sectionName": text},
    name="",
)  # fmt: skip
_HTTPROUTE_SPEC = fields({
    "hostnames": strings, "parentRefs": each(_GATEWAY_REFERENCE),
    "rules": each(fields({
        "matches": each(fields({"path": fields({"type": text, "value": text}),
                                "method": text, "headers": objects, "queryParams": objects})),
        "backendRefs": each(_GATEWAY_REFERENCE), "filters": each(fields({"type": text})),
    })),
})  # fmt: skip
_GATEWAY_SPEC = fields({
    "gatewayClassName": text,
    "listeners": each(fields({
        "name": text, "hostname": text, "port": number, "protocol": text,
        "tls": fields({"mode": text, "certificateRefs": each(_REFERENCE)}),
        "allowedRoutes": fields({"namespaces": fields({"from": text, "selector": _SELECTOR})}),
    })),
})  # fmt: skip

_SPECS: Mapping[str, Shape] = {
    "pods": _POD_SPEC,
    "deployments": _WORKLOAD_SPEC, "daemonsets": _WORKLOAD_SPEC,
    "statefulsets": _WORKLOAD_SPEC, "replicasets": _WORKLOAD_SPEC,
    "nodes": fields({"podCIDR": text, "podCIDRs": strings, "providerID": text,
                     "taints": objects}),
    "services": _SERVICE_SPEC,
    "networkpolicies": fields({"podSelector": _SELECTOR, "policyTypes": strings,
                               "ingress": each(_POLICY_RULE)}),
    "ingresses": _INGRESS_SPEC,
    "ingressclasses": fields({"controller": text}),
    "ingressroutes": _ROUTE_SPEC, "ingressroutetcps": _ROUTE_SPEC,
    "traefikservices": fields({
        "weighted": fields({"services": _PARTS}),
        "highestRandomWeight": fields({"services": _PARTS}),
        "mirroring": fields({**_TRAEFIK_SERVICE, "mirrors": _PARTS}),
        "failover": fields({"service": text, "fallback": text}),
    }),
    "middlewares": _MIDDLEWARE_SPEC,
    "tlsstores": fields({"defaultCertificate": fields({"secretName": text}),
                         "certificates": each(fields({"secretName": text}))}),
    "tlsoptions": fields({"sniStrict": truth, "minVersion": text, "maxVersion": text,
                          "clientAuth": fields({"secretNames": strings,
                                                "clientAuthType": text})}),
    "serverstransports": fields({"serverName": text, "insecureSkipVerify": truth,
                                 "rootCAsSecrets": strings}),
    "httproutes": _HTTPROUTE_SPEC, "gateways": _GATEWAY_SPEC,
}  # fmt: skip
_BESIDE: Mapping[str, Mapping[str, Shape]] = {
    "endpointslices": _SLICE,
    "events": {
        "reason": text, "message": text, "type": text, "count": number, "firstTimestamp": text,
        "lastTimestamp": text, "eventTime": text,
        "series": fields({"count": number, "lastObservedTime": text}),
        "involvedObject": fields({"kind": text, "name": text, "namespace": text}),
    },
    "configmaps": {"data": texts, "binaryData": texts},
}  # fmt: skip


def _whole(resource: str) -> Shape:
    known: dict[str, Shape] = {
        "apiVersion": text,
        "kind": text,
        "metadata": _METADATA,
        "spec": _SPECS.get(resource, fields({})),
        "status": _STATUS,
        **_BESIDE.get(resource, {}),
    }
    return fields(known, metadata={"name": ""})


_SHAPES = {resource: _whole(resource) for resource in (*_SPECS, *_BESIDE)}
_ANY = _whole("")


def kubernetes_object(resource: str, obj: object) -> Obj | None:
    """An object of `resource` (its plural) with every known field of its type.

    It always has metadata with a name, which is empty where the server gave none; None where it
    is no object at all.
    """
    found = _SHAPES.get(resource, _ANY)(obj)
    return None if found is ABSENT else found

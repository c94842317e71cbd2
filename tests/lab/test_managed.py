"""managedFields as the lab's API server keeps them."""

from hopcheck.lab.apiserver.store import Store


def service(**spec):
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "a", "labels": {"app": "a"}},
        "spec": {
            "selector": {"app": "a"},
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
            **spec,
        },
    }


def owners(obj):
    return {entry["manager"]: entry["fieldsV1"] for entry in obj["metadata"]["managedFields"]}


PORT = 'k:{"port":80,"protocol":"TCP"}'


def test_the_creator_owns_everything_but_what_the_server_allocates():
    # As `kubectl get --show-managed-fields` shows of a real Service.
    made = Store().put(service(), "kubectl-create")
    (entry,) = made["metadata"]["managedFields"]
    assert entry["operation"] == "Update"
    assert entry["fieldsV1"]["f:metadata"] == {"f:labels": {".": {}, "f:app": {}}}
    spec = entry["fieldsV1"]["f:spec"]
    assert spec["f:selector"] == {}
    assert spec["f:ports"] == {
        ".": {},
        PORT: {".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {}},
    }
    assert "f:clusterIP" not in spec


def test_who_edits_a_field_takes_it_over():
    store = Store()
    store.put(service(), "helm")
    edited = store.patch(
        "services", "default", "a", lambda o: o["spec"]["ports"][0].update(targetPort=8081)
    )
    found = owners(edited)
    assert found["kubectl-edit"] == {"f:spec": {"f:ports": {PORT: {"f:targetPort": {}}}}}
    assert "f:targetPort" not in found["helm"]["f:spec"]["f:ports"][PORT]
    assert "f:port" in found["helm"]["f:spec"]["f:ports"][PORT]


def test_a_removed_field_is_nobodys():
    store = Store()
    store.put(service(), "helm")
    edited = store.patch("services", "default", "a", lambda o: o["metadata"].pop("labels"))
    assert set(owners(edited)) == {"helm"}
    assert "f:metadata" not in owners(edited)["helm"]


def test_an_apply_owns_what_it_names_beside_others():
    store = Store()
    store.put(service(), "helm")
    sent = {"apiVersion": "v1", "kind": "Service", "spec": {"selector": {"app": "a"}}}
    version = store.get("services", "default", "a")["metadata"]["resourceVersion"]
    applied = store.put(service(), "argo", operation="Apply", applied=sent)
    assert owners(applied)["argo"] == {"f:spec": {"f:selector": {}}}
    assert "f:selector" in owners(applied)["helm"]["f:spec"]
    assert applied["metadata"]["resourceVersion"] != version
    again = store.put(service(), "argo", operation="Apply", applied=sent)
    assert again["metadata"]["resourceVersion"] == applied["metadata"]["resourceVersion"]


def test_the_status_has_entries_of_its_own():
    store = Store()
    store.put(service(), "helm")
    done = store.patch(
        "services", "default", "a",
        lambda o: o.update(status={"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}),
        "aws-load-balancer-controller",
    )  # fmt: skip
    last = done["metadata"]["managedFields"][-1]
    assert (last["manager"], last["subresource"]) == ("aws-load-balancer-controller", "status")


def test_containers_are_told_apart_by_name():
    store = Store()
    store.put(
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
            "spec": {"template": {"spec": {"containers": [{"name": "app", "image": "a:1"},
                                                          {"name": "log", "image": "l:1"}]}}},
        },
        "helm",
    )  # fmt: skip
    edited = store.patch(
        "deployments", "default", "d",
        lambda o: o["spec"]["template"]["spec"]["containers"][1].update(image="l:2"),
        "kubectl-set",
    )  # fmt: skip
    pods = owners(edited)["kubectl-set"]["f:spec"]["f:template"]["f:spec"]
    assert pods == {"f:containers": {'k:{"name":"log"}': {"f:image": {}}}}

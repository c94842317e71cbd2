"""The API server's answers, over its real socket."""

import json
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from hopcheck.lab.apiserver.store import Store
from hopcheck.lab.controllers import EndpointController
from tests.lab.serving import (
    ADMIN,
    INGRESS_CLASS,
    NOBODY,
    READER,
    Serving,
    ingress,
    pod,
    service,
    wait_for,
)

PODS = "/api/v1/namespaces/default/pods"
SERVICES = "/api/v1/namespaces/default/services"


@pytest.fixture
def serving(tmp_path):
    with Serving(tmp_path) as serving:
        yield serving


@pytest.fixture
def client(serving):
    with serving.client() as client:
        yield client


def rule(groups, resources, *verbs, **more):
    return {"apiGroups": groups, "resources": resources, "verbs": list(verbs)} | more


class Watch:
    """A watch in the background; `events` grows."""

    def __init__(self, client: httpx.Client, path: str, **query: str) -> None:
        self.events: list[dict] = []
        self.ended = threading.Event()
        self.content_type = ""
        self._client, self._path = client, path
        self._query = {"watch": "true"} | query
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with self._client.stream("GET", self._path, params=self._query) as response:
                self.content_type = response.headers["Content-Type"]
                for line in response.iter_lines():
                    self.events.append(json.loads(line))
        except httpx.TransportError:
            self.events.append({"type": "CUT"})
        finally:
            self.ended.set()

    def kinds(self):
        return [
            (e["type"], e["object"]["metadata"].get("name")) for e in self.events if "object" in e
        ]


# The store


def test_put_fills_in_what_the_server_owns():
    store = Store()
    first = store.put(service())
    metadata = first["metadata"]
    assert metadata["uid"]
    assert metadata["creationTimestamp"].endswith("Z")
    assert metadata["managedFields"][0]["manager"] == "kubectl-client-side-apply"
    assert first["spec"]["clusterIP"].startswith("10.100.")
    second = store.patch(
        "services", "default", "my-app", lambda s: s["spec"].update(selector={"app": "x"})
    )
    assert second["metadata"]["uid"] == metadata["uid"]
    assert second["spec"]["clusterIP"] == first["spec"]["clusterIP"]
    assert int(second["metadata"]["resourceVersion"]) > int(metadata["resourceVersion"])
    edit = second["metadata"]["managedFields"][-1]
    assert edit["manager"] == "kubectl-edit"
    assert edit["fieldsV1"] == {"f:spec": {"f:selector": {}}}


def test_what_the_store_gives_out_is_a_copy():
    store = Store()
    store.put(service())
    store.get("services", "default", "my-app")["spec"]["selector"]["app"] = "changed"
    store.list("services")[0]["spec"]["selector"]["app"] = "changed"
    assert store.get("services", "default", "my-app")["spec"]["selector"] == {"app": "my-app"}


def test_changes_of_subscribers_are_delivered_in_order():
    store, seen = Store(), []

    def answer(kind, obj):
        if obj["kind"] == "Service" and kind == "ADDED":
            store.put(ingress())

    store.subscribe(answer)
    store.subscribe(lambda kind, obj: seen.append((kind, obj["kind"])))
    store.put(service())
    assert seen == [("ADDED", "Namespace"), ("ADDED", "Service"), ("ADDED", "Ingress")]


def test_the_default_class_is_given_at_creation_only():
    store = Store()
    default = json.loads(json.dumps(INGRESS_CLASS))
    default["metadata"]["annotations"] = {"ingressclass.kubernetes.io/is-default-class": "true"}
    store.put(default)
    without = ingress()
    del without["spec"]["ingressClassName"]
    assert store.put(without)["spec"]["ingressClassName"] == "traefik"
    assert "ingressClassName" not in store.put(without)["spec"]


def test_node_ports_are_allocated_kept_and_given_up():
    store = Store()
    kept = store.put(service(type="NodePort"))["spec"]["ports"][0]["nodePort"]
    assert 30000 <= kept <= 32767
    assert store.put(service(type="NodePort"))["spec"]["ports"][0]["nodePort"] == kept
    other = store.put(service("other", type="NodePort"))["spec"]["ports"][0]["nodePort"]
    assert other != kept
    gone = store.put(service(type="ClusterIP"))["spec"]
    assert "nodePort" not in gone["ports"][0]
    assert "externalTrafficPolicy" not in gone


def test_missing_objects_and_unknown_kinds_are_errors():
    store = Store()
    with pytest.raises(LookupError):
        store.patch("services", "default", "nope", lambda s: None)
    with pytest.raises(LookupError):
        store.delete("services", "default", "nope")
    with pytest.raises(ValueError, match="unknown kind: v1 Nope"):
        store.put({"apiVersion": "v1", "kind": "Nope", "metadata": {"name": "x"}})


# Lists


def test_a_list_of_a_built_in_kind_has_bare_items(serving, client):
    serving.store.put(service())
    answer = client.get(SERVICES).json()
    assert (answer["kind"], answer["apiVersion"]) == ("ServiceList", "v1")
    assert int(answer["metadata"]["resourceVersion"]) == serving.store.version
    assert "kind" not in answer["items"][0]
    assert client.get(f"{SERVICES}/my-app").json()["kind"] == "Service"


def test_a_list_of_a_custom_kind_has_whole_items(serving, client):
    middleware = {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "Middleware",
        "metadata": {"name": "strip", "namespace": "default"},
        "spec": {"stripPrefix": {"prefixes": ["/api"]}},
    }
    serving.store.put(middleware)
    answer = client.get("/apis/traefik.io/v1alpha1/middlewares").json()
    assert answer["kind"] == "MiddlewareList"
    assert answer["items"][0]["kind"] == "Middleware"


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("app=my-app", ["a", "b"]),
        ("app=my-app,tier!=web", ["b"]),
        ("tier in (web,db)", ["a", "c"]),
        ("tier notin (web)", ["b", "c"]),
        ("tier", ["a", "c"]),
        ("!tier", ["b"]),
        ("app==other", ["c"]),
    ],
)
def test_label_selectors(serving, client, selector, names):
    serving.store.put(pod("a", "127.0.9.1", labels={"app": "my-app", "tier": "web"}))
    serving.store.put(pod("b", "127.0.9.2", labels={"app": "my-app"}))
    serving.store.put(pod("c", "127.0.9.3", labels={"app": "other", "tier": "db"}))
    answer = client.get(PODS, params={"labelSelector": selector}).json()
    assert [p["metadata"]["name"] for p in answer["items"]] == names


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("metadata.name=a", ["a"]),
        ("metadata.name!=a", ["b"]),
        ("spec.nodeName=node-2", ["b"]),
        ("status.phase=Running", ["a", "b"]),
        ("status.phase!=Running", []),
    ],
)
def test_field_selectors(serving, client, selector, names):
    serving.store.put(pod("a", "127.0.9.1"))
    serving.store.put(pod("b", "127.0.9.2", node="node-2"))
    answer = client.get("/api/v1/pods", params={"fieldSelector": selector}).json()
    assert [p["metadata"]["name"] for p in answer["items"]] == names


def test_events_are_selected_by_what_they_are_about(serving, client):
    for name, about in (("one", "a"), ("two", "b")):
        serving.store.put(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": name, "namespace": "default"},
                "involvedObject": {"kind": "Pod", "name": about, "namespace": "default"},
            }
        )
    selector = "involvedObject.kind=Pod,involvedObject.name=b"
    answer = client.get("/api/v1/events", params={"fieldSelector": selector}).json()
    assert [e["metadata"]["name"] for e in answer["items"]] == ["two"]


def test_a_field_that_cannot_be_selected_by_is_a_bad_request(client):
    answer = client.get(PODS, params={"fieldSelector": "spec.host=x"})
    assert answer.status_code == 400
    assert answer.json()["message"] == "field label not supported: spec.host"


@pytest.mark.parametrize(
    "query",
    [{"limit": "x"}, {"continue": "%%%"}, {"continue": "eA=="}, {"labelSelector": "a b c"}],
)
def test_parameters_that_cannot_be_read_are_bad_requests(serving, client, query):
    answer = client.get(PODS, params=query)
    assert (answer.status_code, answer.json()["reason"]) == (400, "BadRequest")


def test_pages(serving, client):
    for name in "abcde":
        serving.store.put(pod(name, "127.0.9.1"))
    first = client.get(PODS, params={"limit": 2}).json()
    assert [p["metadata"]["name"] for p in first["items"]] == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 3
    token = first["metadata"]["continue"]
    second = client.get(PODS, params={"limit": 2, "continue": token}).json()
    assert [p["metadata"]["name"] for p in second["items"]] == ["c", "d"]
    last = client.get(PODS, params={"continue": second["metadata"]["continue"]}).json()
    assert [p["metadata"]["name"] for p in last["items"]] == ["e"]
    assert "continue" not in last["metadata"]
    serving.store.compact()
    expired = client.get(PODS, params={"limit": 2, "continue": token})
    assert (expired.status_code, expired.json()["reason"]) == (410, "Expired")


def test_the_watch_cache_does_not_page(serving, client):
    for name in "abc":
        serving.store.put(pod(name, "127.0.9.1"))
    answer = client.get(PODS, params={"limit": 1, "resourceVersion": "0"}).json()
    assert len(answer["items"]) == 3
    assert "continue" not in answer["metadata"]


def test_metadata_alone(serving, client):
    serving.store.put(pod("a", "127.0.9.1"))
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    answer = client.get(PODS, headers={"Accept": accept}).json()
    assert answer["kind"] == "PartialObjectMetadataList"
    assert set(answer["items"][0]) == {"kind", "apiVersion", "metadata"}


@pytest.mark.parametrize(
    "accept",
    [
        "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=1",
        "application/json;as=Nothing;g=meta.k8s.io;v=v1",
        "text/html",
    ],
)
def test_what_cannot_be_produced_is_not_acceptable(serving, client, accept):
    serving.store.put(pod("a", "127.0.9.1"))
    refused = client.get(f"{PODS}/a", headers={"Accept": accept})
    assert (refused.status_code, refused.json()["reason"]) == (406, "NotAcceptable")
    either = client.get(f"{PODS}/a", headers={"Accept": f"{accept}, application/json"})
    assert either.json()["kind"] == "Pod"


def test_endpoints_are_called_deprecated(client):
    answer = client.get("/api/v1/endpoints")
    assert "v1 Endpoints is deprecated in v1.33+" in answer.headers["Warning"]


# Watches


def test_a_watch_begins_with_what_is_there_and_ends_with_the_server(serving, client):
    serving.store.put(pod("a", "127.0.9.1"))
    watch = Watch(client, PODS)
    wait_for(lambda: watch.kinds() == [("ADDED", "a")], "the first event")
    assert watch.content_type == "application/json"
    serving.store.put(pod("b", "127.0.9.2"))
    serving.store.delete("pods", "default", "a")
    wait_for(lambda: len(watch.events) == 3, "the changes")
    assert watch.kinds()[1:] == [("ADDED", "b"), ("DELETED", "a")]
    began = time.monotonic()
    serving.run(serving.server.stop())
    assert watch.ended.wait(3)
    assert time.monotonic() - began < 3


def test_initial_events_end_with_a_marked_bookmark(serving, client):
    serving.store.put(pod("a", "127.0.9.1"))
    watch = Watch(
        client,
        PODS,
        sendInitialEvents="true",
        allowWatchBookmarks="true",
        resourceVersionMatch="NotOlderThan",
    )
    wait_for(lambda: len(watch.events) == 2, "the bookmark")
    assert [e["type"] for e in watch.events] == ["ADDED", "BOOKMARK"]
    mark = watch.events[1]["object"]
    assert mark["kind"] == "Pod"
    assert mark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert mark["metadata"]["resourceVersion"] == str(serving.store.version)


def test_a_watch_goes_on_from_a_version(serving, client):
    version = serving.store.put(pod("a", "127.0.9.1"))["metadata"]["resourceVersion"]
    serving.store.put(pod("b", "127.0.9.2"))
    watch = Watch(client, PODS, resourceVersion=version)
    wait_for(lambda: watch.kinds() == [("ADDED", "b")], "what came after")


def test_a_watch_from_a_forgotten_version_is_gone(serving, client):
    version = serving.store.put(pod("a", "127.0.9.1"))["metadata"]["resourceVersion"]
    serving.store.compact()
    watch = Watch(client, PODS, resourceVersion=version)
    assert watch.ended.wait(5)
    (event,) = watch.events
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")


def test_an_open_watch_outlives_a_compaction(serving, client):
    watch = Watch(client, PODS)
    serving.store.compact()
    serving.store.put(pod("a", "127.0.9.1"))
    wait_for(lambda: watch.kinds() == [("ADDED", "a")], "the event")


def test_a_watch_sees_objects_enter_and_leave_its_selector(serving, client):
    serving.store.put(pod("a", "127.0.9.1"))
    watch = Watch(client, PODS, labelSelector="app=other")
    time_limited = Watch(client, PODS, timeoutSeconds="1")
    serving.store.put(pod("a", "127.0.9.1", labels={"app": "other"}))
    wait_for(lambda: watch.kinds() == [("ADDED", "a")], "the object enters")
    serving.store.put(pod("a", "127.0.9.1"))
    wait_for(lambda: len(watch.events) == 2, "the object leaves")
    assert watch.kinds()[1] == ("DELETED", "a")
    assert time_limited.ended.wait(5)


# Who may what


def test_without_and_with_a_wrong_token(serving):
    with serving.client("wrong") as client:
        answer = client.get(PODS)
        assert answer.status_code == 401
        assert answer.json() == {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": "Unauthorized",
            "reason": "Unauthorized",
            "code": 401,
        }
    with serving.client(None) as client:
        answer = client.get(PODS)
        assert answer.status_code == 403
        assert 'User "system:anonymous" cannot list' in answer.json()["message"]
        assert client.get("/version").status_code == 200
        assert client.get("/apis").status_code == 403


def test_a_forgotten_token_is_unauthorized(serving, client):
    assert client.get(PODS).status_code == 200
    serving.server.forget(ADMIN)
    assert client.get(PODS).status_code == 401


def test_forbidden_in_the_servers_own_words(serving):
    with serving.client(NOBODY) as client:
        listed = client.get("/apis/networking.k8s.io/v1/ingresses").json()
        assert listed["message"] == (
            'ingresses.networking.k8s.io is forbidden: User "nobody" cannot list resource '
            '"ingresses" in API group "networking.k8s.io" at the cluster scope'
        )
        assert (listed["code"], listed["reason"]) == (403, "Forbidden")
        log = client.get(f"{PODS}/a/log").json()
        assert log["message"] == (
            'pods "a" is forbidden: User "nobody" cannot get resource "pods/log" in API group "" '
            'in the namespace "default"'
        )


def test_rules_grant_verbs_resources_subresources_and_names(serving):
    serving.store.put(pod("a", "127.0.9.1"))
    serving.store.put(pod("b", "127.0.9.1"))
    rules = [
        rule([""], ["pods"], "list"),
        rule([""], ["pods/log"], "get"),
        rule([""], ["services"], "get", resourceNames=["my-app"]),
    ]
    serving.server.account(READER, "reader", rules)
    serving.store.put(service())
    with serving.client(READER) as client:
        assert client.get(PODS).status_code == 200
        assert client.get(PODS, params={"watch": "true"}).status_code == 403
        assert client.get(f"{PODS}/a").status_code == 403
        assert client.get(f"{PODS}/a/log").status_code == 200
        assert client.get(f"{PODS}/a/proxy/").status_code == 403
        assert client.get(f"{SERVICES}/my-app").status_code == 200
        assert client.get(f"{SERVICES}/other").status_code == 403
        assert client.delete(f"{PODS}/a").status_code == 403
        serving.server.account(READER, "reader", rules[1:])
        assert client.get(PODS).status_code == 403


def test_roles_hold_in_their_namespace_alone(serving):
    serving.server.account(READER, "reader", [], {"default": [rule([""], ["pods"], "*")]})
    with serving.client(READER) as client:
        assert client.get(PODS).status_code == 200
        assert client.get("/api/v1/pods").status_code == 403
        assert client.get("/api/v1/namespaces/other/pods").status_code == 403


def test_access_reviews(serving):
    serving.server.account(READER, "reader", [rule([""], ["pods"], "get", "list")])
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    with serving.client(READER) as client:

        def allowed(verb, resource):
            asked = {"resourceAttributes": {"verb": verb, "resource": resource}}
            answer = client.post(path, json={"spec": asked})
            assert answer.status_code == 201
            return answer.json()["status"]["allowed"]

        assert allowed("list", "pods") is True
        assert allowed("watch", "pods") is False
        assert allowed("list", "secrets") is False
        rules = client.post(
            "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
            json={"spec": {"namespace": "default"}},
        ).json()["status"]
        assert rules["incomplete"] is False
        assert rule([""], ["pods"], "get", "list") in rules["resourceRules"]


# Errors


def test_not_found(client):
    answer = client.get("/apis/networking.k8s.io/v1/namespaces/default/ingresses/nope")
    assert answer.status_code == 404
    body = answer.json()
    assert body["message"] == 'ingresses.networking.k8s.io "nope" not found'
    assert body["details"] == {"name": "nope", "kind": "ingresses", "group": "networking.k8s.io"}


def test_a_group_that_is_not_served(serving, client):
    path = "/apis/traefik.io/v1alpha1/ingressroutes"
    assert client.get(path).status_code == 200
    serving.server.hidden.add("traefik.io")
    answer = client.get(path)
    assert (answer.status_code, answer.text) == (404, "404 page not found\n")
    groups = [g["name"] for g in client.get("/apis").json()["groups"]]
    assert "traefik.io" not in groups
    assert "networking.k8s.io" in groups
    with serving.client(NOBODY) as nobody:
        assert nobody.get(path).status_code == 403


def test_methods_that_are_not_allowed(client):
    assert client.request("OPTIONS", PODS).status_code == 405
    assert client.post("/version").status_code == 405


# Writing


def test_create_conflicts_and_namespaces(serving, client):
    assert client.post(SERVICES, json=service()).status_code == 404
    serving.store.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
    assert client.post(SERVICES, json=service(), params={"dryRun": "All"}).status_code == 201
    assert serving.store.list("services") == []
    created = client.post(SERVICES, json=service(), params={"fieldManager": "me"})
    assert created.status_code == 201
    assert created.json()["metadata"]["managedFields"][0]["manager"] == "me"
    again = client.post(SERVICES, json=service())
    assert (again.status_code, again.json()["reason"]) == (409, "AlreadyExists")
    stale = created.json()
    serving.store.patch("services", "default", "my-app", lambda s: s["spec"].update(selector={}))
    conflict = client.put(f"{SERVICES}/my-app", json=stale)
    assert (conflict.status_code, conflict.json()["reason"]) == (409, "Conflict")


@pytest.mark.parametrize(
    ("content_type", "patch", "ports"),
    [
        ("merge-patch", {"spec": {"ports": [{"port": 1}]}}, [1]),
        ("strategic-merge-patch", {"spec": {"ports": [{"port": 1}]}}, [80, 443, 1]),
        (
            "strategic-merge-patch",
            {"spec": {"ports": [{"port": 80, "$patch": "delete"}]}},
            [443],
        ),
        ("json-patch", [{"op": "remove", "path": "/spec/ports/0"}], [443]),
        (
            "json-patch",
            [{"op": "add", "path": "/spec/ports/-", "value": {"port": 7}}],
            [80, 443, 7],
        ),
        (
            "json-patch",
            [
                {"op": "test", "path": "/spec/ports/0/port", "value": 80},
                {"op": "replace", "path": "/spec/ports/0/port", "value": 8},
            ],
            [8, 443],
        ),
    ],
)
def test_patches(serving, client, content_type, patch, ports):
    serving.store.put(service(ports=[{"name": "a", "port": 80}, {"name": "b", "port": 443}]))
    answer = client.patch(
        f"{SERVICES}/my-app",
        content=json.dumps(patch),
        headers={"Content-Type": f"application/{content_type}+json"},
    )
    assert answer.status_code == 200
    stored = serving.store.get("services", "default", "my-app")
    assert [p["port"] for p in stored["spec"]["ports"]] == ports


def test_a_json_patch_that_does_not_fit_is_invalid(serving, client):
    serving.store.put(service())
    answer = client.patch(
        f"{SERVICES}/my-app",
        content=json.dumps([{"op": "replace", "path": "/spec/nope/0", "value": 1}]),
        headers={"Content-Type": "application/json-patch+json"},
    )
    assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid")


def test_the_status_changes_through_its_subresource_alone(serving, client):
    stored = serving.store.put(pod("a", "127.0.9.1"))
    changed = stored | {"status": {"phase": "Failed"}}
    client.put(f"{PODS}/a", json=changed)
    assert serving.store.get("pods", "default", "a")["status"]["phase"] == "Running"
    merge = {"Content-Type": "application/merge-patch+json"}
    patch = json.dumps({"status": {"phase": "Failed"}, "spec": {"nodeName": "elsewhere"}})
    client.patch(f"{PODS}/a/status", content=patch, headers=merge)
    after = serving.store.get("pods", "default", "a")
    assert after["status"]["phase"] == "Failed"
    assert after["spec"]["nodeName"] == "node-1"


def test_delete(serving, client):
    serving.store.put(pod("a", "127.0.9.1"))
    serving.store.put(pod("b", "127.0.9.1", labels={"app": "other"}))
    assert client.delete(f"{PODS}/a").json()["status"] == "Success"
    assert client.delete(f"{PODS}/a").status_code == 404
    client.delete(PODS, params={"labelSelector": "app=other"})
    assert serving.store.list("pods") == []


# Logs


def test_a_log_is_cut_to_what_is_asked_for(serving, client):
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = f"2026-02-25T03:00:00Z old\nbelongs to old\n{now} new\n"
    serving.store.put(pod("a", "127.0.9.1"))
    serving.server.set_log("default", "a", "app", lambda: text, lambda: "before\n")

    def log(**query):
        return client.get(f"{PODS}/a/log", params=query).text

    assert log() == text
    assert log(container="app", tailLines="1") == f"{now} new\n"
    assert log(tailLines="0") == ""
    assert log(limitBytes="10") == "2026-02-25"
    assert log(sinceSeconds="60") == f"{now} new\n"
    assert log(previous="true") == "before\n"
    assert log(timestamps="true").splitlines()[1] == (
        "2026-02-25T03:00:00.000000000Z belongs to old"
    )


def test_lines_may_come_with_their_times(serving, client):
    at = datetime(2026, 2, 25, 3, 0, 0, 5, tzinfo=UTC)
    serving.store.put(pod("a", "127.0.9.1"))
    serving.server.set_log("default", "a", "app", lambda: [(at, "plain")])
    answer = client.get(f"{PODS}/a/log", params={"timestamps": "true"})
    assert answer.text == "2026-02-25T03:00:00.000005000Z plain\n"


def test_logs_that_are_not_there(serving, client):
    two = pod("two", "127.0.9.1")
    two["spec"]["containers"].append({"name": "sidecar"})
    two["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
    serving.store.put(two)

    def message(name, **query):
        answer = client.get(f"{PODS}/{name}/log", params=query)
        return answer.status_code, answer.json()["message"]

    assert message("nope") == (404, 'pods "nope" not found')
    assert message("two") == (
        400,
        "a container name must be specified for pod two, choose one of: [app sidecar]",
    )
    assert message("two", container="x") == (400, "container x is not valid for pod two")
    assert message("two", container="app", previous="true") == (
        400,
        'previous terminated container "app" in pod "two" not found',
    )
    assert message("two", container="app") == (
        400,
        'container "app" in pod "two" is waiting to start: CrashLoopBackOff',
    )


def test_follow_sends_what_comes(serving, client):
    lines = ["one\n"]
    serving.store.put(pod("a", "127.0.9.1"))
    serving.server.set_log("default", "a", "app", lambda: "".join(lines))
    got = []
    with client.stream("GET", f"{PODS}/a/log", params={"follow": "true"}) as response:
        for line in response.iter_lines():
            got.append(line)
            if len(got) == 2:
                break
            lines.append("two\n")
    assert got == ["one", "two"]


# Proxy


class Echo(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(302 if self.path.endswith("moved") else 200)
        self.send_header("X-Seen-Path", self.path)
        self.send_header("X-Seen-Host", self.headers["Host"])
        self.send_header("X-Seen-Authorization", self.headers.get("Authorization", "none"))
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(b"hello")

    do_HEAD = do_GET  # noqa: N815  # the name that http.server looks for

    def log_message(self, *args):
        pass


@pytest.fixture
def echo():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_a_request_is_sent_on_to_a_pod(serving, client, echo):
    serving.store.put(pod("a", "127.0.0.1"))
    base = f"{PODS}/a:{echo}/proxy"
    answer = client.get(f"{base}/api/x%2Fy?z=1", headers={"Host": "myapp.example.com"})
    assert (answer.status_code, answer.text) == (200, "hello")
    assert answer.headers["X-Seen-Path"] == "/api/x%2Fy?z=1"
    assert answer.headers["X-Seen-Host"] == "myapp.example.com"
    assert answer.headers["X-Seen-Authorization"] == "none"
    assert client.head(f"{base}/").status_code == 200
    assert client.get(f"{base}/moved").status_code == 302
    assert client.get(base).headers["Location"] == f"{base}/"


def test_a_request_is_sent_on_to_a_ready_endpoint(serving, client, echo):
    EndpointController(serving.store)
    serving.store.put(service(ports=[{"name": "http", "port": 80, "targetPort": echo}]))
    path = f"{SERVICES}/my-app:http/proxy/"
    answer = client.get(path)
    assert answer.status_code == 503
    assert answer.json()["message"] == 'no endpoints available for service "my-app:http"'
    serving.store.put(pod("a", "127.0.0.1"))
    assert client.get(path).text == "hello"
    assert client.get(f"{SERVICES}/my-app:80/proxy/").text == "hello"
    nope = client.get(f"{SERVICES}/my-app:nope/proxy/")
    assert nope.json()["message"] == 'no service port "nope" found for service "my-app"'


def test_a_pod_that_does_not_answer_is_unavailable(serving, client, echo):
    serving.store.put(pod("a", "127.0.0.1"))
    refused = client.get(f"{PODS}/a:1/proxy/")
    assert refused.status_code == 503
    assert refused.json()["message"] == (
        "error trying to reach service: dial tcp 127.0.0.1:1: connect: connection refused"
    )
    tls = client.get(f"{PODS}/https:a:{echo}/proxy/")
    assert tls.status_code == 503
    assert tls.json()["reason"] == "ServiceUnavailable"


# The server itself


def test_delay_makes_every_answer_late(serving, client):
    client.get("/version")
    serving.server.delay = 0.3
    began = time.monotonic()
    client.get("/version")
    assert time.monotonic() - began >= 0.3
    assert serving.server.requests == [("GET", "/version")] * 2


def test_stop_and_start_keep_the_port(serving):
    url = serving.server.url
    serving.run(serving.server.stop())
    with serving.client() as client, pytest.raises(httpx.ConnectError):
        client.get("/version")
    serving.run(serving.server.start())
    assert serving.server.url == url
    with serving.client() as client:
        assert client.get("/version").json()["major"] == "1"

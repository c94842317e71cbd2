"""The whole lab: its healthy path, real clients on it, faults and healing, its end."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rcode
import pytest

from hopcheck.lab import demo, topology
from hopcheck.lab.faults import FAULTS, Expect
from hopcheck.lab.faults.gallery import BROKEN, DEGRADED, VERDICTS
from hopcheck.lab.running import RunningLab
from hopcheck.lab.topology import APP_PODS, HOST, TRAEFIK_PODS

STEPS = {
    "dns",
    "target-health",
    "traefik-service",
    "ingress",
    "endpoints",
    "traefik-logs",
    "request",
}
# fault -> what https and http give at the load balancer. The gallery's others are shown by the
# diagnosis of each of them, which is slower and not part of these tests.
SYMPTOMS = {
    "dns-nxdomain": ("NXDOMAIN", "NXDOMAIN"),
    "dns-dangling-cname": ("NXDOMAIN", "NXDOMAIN"),
    "dns-stale-ip": ("refused", "refused"),
    "dns-servfail": ("SERVFAIL", "SERVFAIL"),
    "tg-nodeport-drift": ("refused", "200"),
    "nlb-no-443": ("dropped", "200"),
    "tg-health-port": ("200", "200"),
    "tsvc-selector": ("refused", "refused"),
    "tsvc-targetport-num": ("refused", "200"),
    "tpod-static-bad": ("refused", "refused"),
    "tpod-rbac": ("untrusted", "404"),
    "ing-no-host": ("404", "404"),
    "ing-class-other": ("untrusted", "404"),
    "ing-svc-missing": ("404", "404"),
    "ing-port-number": ("404", "404"),
    "tls-secret-missing": ("untrusted", "200"),
    "svc-selector": ("404", "404"),
    "svc-targetport-num": ("502", "502"),
    "ep-none-ready": ("404", "404"),
    "app-5xx": ("500", "500"),
    "app-wrong-port": ("502", "502"),
}


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    began = time.monotonic()
    with RunningLab() as running:
        assert time.monotonic() - began < 8
        yield running


def resolve(lab: RunningLab) -> list[str] | str:
    """The host's addresses by the lab's resolver, or the rcode."""
    address, port = lab.arguments()[1].split(":")
    query = dns.message.make_query(HOST, "A")
    answer = dns.query.udp(query, address, port=int(port), timeout=2)
    if answer.rcode() != dns.rcode.NOERROR:
        return dns.rcode.to_text(answer.rcode())
    return sorted(i.address for rrset in answer.answer for i in rrset if rrset.rdtype == 1)


def real_port(lab: RunningLab, port: int) -> int:
    rule = next(word for word in lab.arguments() if word.startswith(f":{port}::"))
    return int(rule.rpartition(":")[2])


def fetch(lab: RunningLab, scheme: str, address: str) -> tuple[str, str]:
    """(status or kind of failure, body) of one GET at a load balancer's address."""
    port = real_port(lab, 443 if scheme == "https" else 80)
    try:
        with socket.create_connection((address, port), timeout=2) as plain:
            plain.settimeout(5)
            sock = plain
            if scheme == "https":
                context = ssl.create_default_context(cafile=lab.lab.certificates.public_ca)
                sock = context.wrap_socket(plain, server_hostname=HOST)
            connection = http.client.HTTPConnection(HOST)
            connection.sock = sock
            connection.request("GET", "/")
            response = connection.getresponse()
            return str(response.status), response.read().decode()
    except ssl.SSLCertVerificationError:
        return "untrusted", ""
    except ConnectionRefusedError:
        return "refused", ""
    except TimeoutError:
        return "dropped", ""


def symptom(lab: RunningLab, scheme: str) -> str:
    found = resolve(lab)
    if isinstance(found, str):
        return found
    return "/".join(sorted({fetch(lab, scheme, address)[0] for address in found}))


def kubectl(lab: RunningLab, *words: str) -> subprocess.CompletedProcess[str]:
    binary = Path(sys.executable).with_name("kubectl")
    return subprocess.run(
        [str(binary), *words],
        env={**os.environ, **lab.environment()},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def targets(lab: RunningLab) -> dict[str, list[str]]:
    """The states of all targets by target group, as boto3 reads them."""
    import boto3

    env = lab.environment()
    client = boto3.client(
        "elbv2",
        endpoint_url=env["AWS_ENDPOINT_URL"],
        region_name=env["AWS_REGION"],
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
    )
    found = {}
    for group in client.describe_target_groups()["TargetGroups"]:
        health = client.describe_target_health(TargetGroupArn=group["TargetGroupArn"])
        states = [one["TargetHealth"]["State"] for one in health["TargetHealthDescriptions"]]
        found[group["TargetGroupName"]] = states
    return found


def is_whole(lab: RunningLab) -> None:
    """Each address serves https and http, from both pods; every target is healthy."""
    addresses = resolve(lab)
    assert addresses == list(lab.lab.plan.zones.values())
    for scheme in ("https", "http"):
        answers = [fetch(lab, scheme, address) for address in addresses for _ in range(4)]
        assert {status for status, _ in answers} == {"200"}
        assert {body.split()[0] for _, body in answers} == set(APP_PODS)
    assert targets(lab) == {"myapp-web": ["healthy"] * 3, "myapp-websecure": ["healthy"] * 3}


def test_the_healthy_path_serves(lab: RunningLab) -> None:
    is_whole(lab)


def test_the_page_s_ports_and_names(lab: RunningLab) -> None:
    service = lab.lab.store.get("services", "api-gateway-system", "traefik")
    assert service is not None
    ports = {
        port["name"]: (port["nodePort"], port["targetPort"]) for port in service["spec"]["ports"]
    }
    assert ports == {
        "web": (30000, "web"),
        "websecure": (30001, "websecure"),
        "traefik": (30900, "traefik"),
        "metrics": (31958, "metrics"),
        "k8s": (30266, "k8s"),
    }


def test_kubectl_reads_and_may_not_write(lab: RunningLab) -> None:
    pods = kubectl(lab, "get", "pods", "-A", "--no-headers")
    assert pods.returncode == 0, pods.stderr
    rows = {line.split()[1]: line.split()[2:4] for line in pods.stdout.splitlines()}
    assert rows == {name: ["1/1", "Running"] for name in (*TRAEFIK_PODS, *APP_PODS)}
    denied = kubectl(lab, "delete", "ingress", "my-app-ingress", "-n", "default")
    assert denied.returncode == 1
    assert "forbidden" in denied.stderr.lower()
    secret = kubectl(lab, "get", "secret", "myapp-tls", "-n", "default")
    assert "forbidden" in secret.stderr.lower()


def test_the_pods_arguments_and_logs_are_the_processes_own(lab: RunningLab) -> None:
    pod = lab.lab.store.get("pods", "api-gateway-system", TRAEFIK_PODS[0])
    assert pod is not None
    args = pod["spec"]["containers"][0]["args"]
    if sys.platform == "linux":
        assert args in [words[1:] for words in processes(str(lab.lab.directory))]
    log = kubectl(lab, "logs", "-n", "api-gateway-system", TRAEFIK_PODS[0], "--timestamps")
    assert "Starting provider *ingress.Provider" in log.stdout


def test_every_node_and_cluster_ip_forwards(lab: RunningLab) -> None:
    plan = lab.lab.plan
    places = [(node.address, plan.node_ports["web"]) for node in plan.nodes]
    places += [(plan.cluster_ips["my-app-service"], 20080)]
    for place in places:
        connection = http.client.HTTPConnection(*place, timeout=5)
        connection.request("GET", "/", headers={"Host": HOST})
        assert connection.getresponse().status == 200, place
        connection.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/net/tcp")
def test_nothing_of_the_lab_needs_root_or_leaves_loopback(lab: RunningLab) -> None:
    prefix = lab.lab.plan.api_address.rpartition(".")[0]
    ports = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state = line.split()[:4]
        number, _, port = local.partition(":")
        address = socket.inet_ntoa(bytes.fromhex(number)[::-1])
        if state == "0A" and address.rpartition(".")[0] == prefix:  # LISTEN
            ports.append(int(port, 16))
    assert len(ports) > 20
    assert min(ports) >= 1024


def test_the_gallery_is_well_formed() -> None:
    assert len(FAULTS) >= 12
    assert {fault.step for fault in FAULTS.values()} == STEPS
    assert {fault.exit_code for fault in FAULTS.values()} <= set(VERDICTS)
    assert all(fault.expect for fault in FAULTS.values() if fault.exit_code in (BROKEN, DEGRADED))
    assert set(SYMPTOMS) <= set(FAULTS)


@pytest.mark.parametrize("name", SYMPTOMS)
def test_a_fault_breaks_what_it_says_and_heals(lab: RunningLab, name: str) -> None:
    lab.inject(name)
    try:
        assert (symptom(lab, "https"), symptom(lab, "http")) == SYMPTOMS[name]
    finally:
        lab.heal()
    assert (symptom(lab, "https"), symptom(lab, "http")) == ("200", "200")


def test_a_stale_replica_fails_half_of_the_requests(lab: RunningLab) -> None:
    lab.inject("tpod-replica-skew")
    address = next(iter(lab.lab.plan.zones.values()))
    answers = [fetch(lab, "http", address)[0] for _ in range(6)]
    lab.heal()
    assert sorted(answers) == ["200"] * 3 + ["404"] * 3


def test_a_bad_flag_is_a_real_crash_loop(lab: RunningLab) -> None:
    lab.inject("tpod-static-bad")
    pod = lab.lab.store.get("pods", "api-gateway-system", TRAEFIK_PODS[1])
    log = kubectl(lab, "logs", "--previous", "-n", "api-gateway-system", TRAEFIK_PODS[1])
    states = targets(lab)
    lab.heal()
    assert pod is not None
    status = pod["status"]["containerStatuses"][0]
    assert status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert status["lastState"]["terminated"]["exitCode"] == 1
    assert "failed to decode configuration from flags: field not found" in log.stdout
    assert set(states["myapp-websecure"]) == {"unhealthy"}
    is_whole(lab)


def test_unready_pods_leave_the_slice(lab: RunningLab) -> None:
    lab.inject("ep-none-ready")
    slices = lab.lab.store.list("endpointslices", "default")
    columns = "-o=custom-columns=:metadata.name,:status.readyReplicas,:status.replicas"
    deployment = kubectl(lab, "get", "deployment", "my-app", "--no-headers", columns)
    events = [one["message"] for one in lab.lab.store.list("events", "default")]
    lab.heal()
    assert deployment.stdout.split() == ["my-app", "<none>", "2"]
    ready = [one["conditions"]["ready"] for s in slices for one in s["endpoints"]]
    assert ready == [False, False]
    assert any(text.startswith("Readiness probe failed: cat:") for text in events)
    assert lab.lab.store.list("events") == []


def test_external_traffic_policy_local_uses_the_node_s_own_pods(lab: RunningLab) -> None:
    def local(service: dict[str, Any]) -> None:
        service["spec"]["externalTrafficPolicy"] = "Local"

    store = lab.lab.store
    lab.call(lambda: store.patch("services", "api-gateway-system", "traefik", local))
    lab.settle()
    states = targets(lab)
    lab.heal()
    assert sorted(states["myapp-websecure"]) == ["healthy", "healthy", "unhealthy"]
    is_whole(lab)


def test_heal_removes_what_was_added_and_restores_what_was_deleted(lab: RunningLab) -> None:
    store = lab.lab.store
    stray = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "y"}}
    lab.call(lambda: store.put(stray))
    lab.call(lambda: store.delete("namespaces", None, "default"))
    lab.heal()
    assert store.get("namespaces", None, "y") is None
    assert store.get("configmaps", "y", "x") is None
    is_whole(lab)


def test_every_party_can_answer_late(lab: RunningLab) -> None:
    lab.call(lambda: lab.lab.set_delay(0.2))
    began = time.monotonic()
    assert resolve(lab) == list(lab.lab.plan.zones.values())
    late = time.monotonic() - began
    lab.heal()
    assert late >= 0.2


def test_two_labs_at_once_and_the_second_leaves_nothing(lab: RunningLab) -> None:
    with RunningLab() as other:
        assert resolve(other) != resolve(lab)
        assert symptom(other, "https") == "200"
        directory = other.lab.directory
    assert not directory.exists()
    assert processes(str(directory)) == []
    is_whole(lab)


def test_one_address_is_enough() -> None:
    """The lay-out for systems where only 127.0.0.1 can be bound."""
    with RunningLab(single=True) as lab:
        assert resolve(lab) == ["127.0.0.1"]
        assert (symptom(lab, "https"), symptom(lab, "http")) == ("200", "200")
        lab.inject("tsvc-selector")
        assert symptom(lab, "https") == "refused"
        lab.heal()
        assert symptom(lab, "https") == "200"


def test_what_is_no_traefik_is_said_and_leaves_nothing() -> None:
    running = RunningLab(binary=Path("/bin/echo"))
    with pytest.raises(LookupError, match="/bin/echo is no traefik"):
        running.__enter__()
    assert not running.lab.directory.exists()


def processes(text: str) -> list[list[str]]:
    """The command lines of running processes in which `text` occurs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")[:-1]
        except OSError:  # it has ended meanwhile
            continue
        if any(text in word for word in words):
            found.append(words)
    return found


def wait_until_gone(text: str) -> None:
    deadline = time.monotonic() + 10
    while left := processes(text):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_every_process(number: signal.Signals) -> None:
    served = subprocess.Popen(
        [sys.executable, "-m", "hopcheck.lab", "serve"], stdout=subprocess.PIPE, text=True
    )
    assert served.stdout is not None
    lines = []
    while not lines or not lines[-1].startswith("hopcheck diagnose"):
        lines.append(served.stdout.readline())
        assert lines[-1], "the lab ended before it was ready"
    directory = Path(lines[0].rpartition("=")[2]).parent
    assert len(processes(f"{directory}/")) == 2  # Traefik
    served.send_signal(number)
    code = served.wait(15)
    served.stdout.close()
    wait_until_gone(f"{directory}/")
    if number == signal.SIGKILL:
        for file in directory.iterdir():
            file.unlink()
        directory.rmdir()
    else:
        assert code == 128 + number
        assert not directory.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="prctl")
def test_the_demos_diagnosis_ends_with_it(tmp_path: Path) -> None:
    """Where the demo is killed, nobody interrupts what it has started."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(30)
        words = ["a.example", "--reports", str(tmp_path / "kept"), "--timeout", "60"]
        words += ["--deadline", "60", "--resolver", f"127.0.0.1:{silent.getsockname()[1]}"]
        program = "import asyncio; from hopcheck.lab.demo import _diagnose\n"
        program += f"asyncio.run(_diagnose({words}, {{}}))"
        demo = subprocess.Popen([sys.executable, "-c", program])
        silent.recv(512)  # the query has come: the diagnosis is under way
        assert processes(str(tmp_path))
        demo.kill()
        demo.wait(10)
        wait_until_gone(str(tmp_path))


def test_the_command_line_knows_its_faults() -> None:
    command = [sys.executable, "-m", "hopcheck.lab"]
    listed = subprocess.run([*command, "faults"], capture_output=True, text=True, check=True)
    assert [line.partition(" ")[0] for line in listed.stdout.splitlines()] == list(FAULTS)
    wrong = subprocess.run(
        [*command, "demo", "--fault", "svc-selektor"], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2
    assert wrong.stderr.count("\n") == 1
    assert "svc-selector" in wrong.stderr


def report(*causes: tuple[str, Expect], verdict: str = "broken") -> dict[str, Any]:
    found = [
        {
            "step": step,
            "code": one.code,
            "object": {"kind": one.kind, "name": one.name, "namespace": one.namespace},
        }
        for step, one in causes
    ]
    return {"verdict": verdict, "headline": "x", "root_causes": found, "steps": []}


def test_a_demo_is_right_only_with_exactly_the_injected_cause() -> None:
    fault = FAULTS["svc-selector"]
    cause = ("endpoints", fault.expect[0])
    other = ("ingress", Expect("ING001", "Ingress", "my-app-ingress", "default"))
    assert demo.compare(report(cause), fault) == ""
    assert "found nothing" in demo.compare(report(), fault)
    assert "ING001" in demo.compare(report(cause, other), fault)
    assert "expected broken" in demo.compare(report(cause, verdict="degraded"), fault)
    assert "ingress: END001" in demo.compare(report(("ingress", cause[1])), fault)
    assert demo.compare(report(verdict="healthy"), None) == ""
    assert "unknown" in demo.compare(report(verdict="unknown"), None)
    assert topology.HOST == HOST

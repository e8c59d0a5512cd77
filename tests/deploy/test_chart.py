"""The chart, rendered: what a cluster would get, for the three newest Kubernetes, with all optional parts on and off.

Rendered and validated, not installed: there is no cluster here.
"""

import base64
import hashlib
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="the extra deploy is not installed")
helm_python = pytest.importorskip("helm_python", reason="the extra deploy is not installed")

from deploy import chart  # noqa: E402
from gateway.settings import GatewaySettings  # noqa: E402
from services.summarizer.settings import SummarizerSettings  # noqa: E402
from services.translator.settings import TranslatorSettings  # noqa: E402

Resource = dict[str, Any]
DIGEST = "ab" * 32
SERVICES = ("gateway", "translator", "summarizer")

EVERYTHING: dict[str, Any] = {
    "image": {"registry": "registry.example/news/", "tag": "1.2.3", "pullSecrets": ["login"]},
    "gateway": {
        "http": {"enabled": True, "hosts": "khulasa.example"},
        "limits": {"articlesPerMinute": 600, "articlesAtOnce": 8, "charactersPerDay": 100_000_000},
        "glossariesConfigMap": "glossaries",
        "extraEnv": {"KHULASA_CACHE_DAYS": 7},
    },
    "translator": {
        "autoscaling": {"metric": "queue"},
        "resources": {"requests": {"cpu": "3500m"}, "limits": {"cpu": "3500m", "memory": "8Gi"}},
    },
    "model": {"source": "init", "init": {"image": "registry.example/opus:1"}, "expectedDigest": DIGEST},
    "tls": {
        "enabled": True,
        "gatewaySecret": "gateway-tls",
        "translatorSecret": "translator-tls",
        "summarizerSecret": "summarizer-tls",
        "clientCertificates": True,
    },
    "monitoring": {"podMonitor": True},
    "tracing": {
        "endpoint": "http://collector.monitoring:4317",
        "egress": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
    },
    "nightly": {"enabled": True, "claim": "articles"},
}
ELSEWHERE: dict[str, Any] = {
    "model": {"source": "volume", "volume": {"claim": "models", "subPath": "opus"}},
    "redis": {
        name: {
            "external": {
                "urlSecret": f"{name}-url",
                "caSecret": "redis-ca",
                "egress": [
                    {"to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}], "ports": [{"protocol": "TCP", "port": 6380}]}
                ],
            }
        }
        for name in ("cache", "jobs")
    },
    "tokens": {"existingSecret": "own-tokens"},
    "serviceToken": {"existingSecret": "own-service-token"},
    "cacheSecrets": {"existingSecret": "own-cache-secrets"},
    "nightly": {"enabled": True, "kind": "Job", "claim": "articles"},
}
BARE: dict[str, Any] = {
    **{name: {"replicas": 1, "autoscaling": {"enabled": False}} for name in SERVICES},
    "networkPolicy": {"enabled": False},
    "redis": {"cache": {"enabled": False}, "jobs": {"enabled": False}},
}
WAYS = {"as it comes": {}, "everything": EVERYTHING, "elsewhere": ELSEWHERE, "bare": BARE}


@pytest.fixture(scope="module", params=WAYS)
def resources(request: pytest.FixtureRequest) -> list[Resource]:
    return list(chart.resources(chart.render(WAYS[request.param])))


@pytest.fixture(scope="module")
def default() -> list[Resource]:
    return list(chart.resources(chart.render({})))


@pytest.fixture(scope="module")
def everything() -> list[Resource]:
    return list(chart.resources(chart.render(EVERYTHING)))


def newest_versions() -> list[str]:
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    found = {tuple(map(int, v)) for path in folder.iterdir() if (v := re.findall(r"\d+", path.name)[:2])}
    return [".".join(map(str, version)) for version in sorted(found)[-3:]]


def one(resources: list[Resource], kind: str, name: str) -> Resource:
    [found] = [each for each in resources if each["kind"] == kind and each["metadata"]["name"] == f"khulasa-{name}"]
    return found


def pod_specs(resources: list[Resource]) -> Iterator[tuple[str, Resource]]:
    for each in resources:
        spec = each.get("spec", {})
        if each["kind"] == "Pod":
            yield each["metadata"]["name"], spec
        elif each["kind"] == "CronJob":
            yield each["metadata"]["name"], spec["jobTemplate"]["spec"]["template"]["spec"]
        elif "template" in spec:
            yield each["metadata"]["name"], spec["template"]["spec"]


def environment(resources: list[Resource], name: str) -> dict[str, Any]:
    [container] = one(resources, "Deployment", name)["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


def test_every_resource_is_valid_for_the_three_newest_kubernetes(resources: list[Resource]) -> None:
    """Strictly: a field that the schema does not have is an error. A PodMonitor is the Prometheus Operator's own."""
    for version in newest_versions():
        for each in resources:
            if each["kind"] != "PodMonitor":
                kubernetes_validate.validate(each, version, strict=True)


def test_every_pod_keeps_to_the_restricted_standard(resources: list[Resource]) -> None:
    """No root, no capability, no writable root, no token for Kubernetes' API; and it says what it needs."""
    for name, pod in pod_specs(resources):
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert not any("hostPath" in volume for volume in pod.get("volumes", []))
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"].keys() == {"requests", "limits"}
            assert {"cpu", "memory"} <= container["resources"]["limits"].keys()


def selected(labels: Mapping[str, str]) -> str:
    return labels.get("app.kubernetes.io/component", "others") if labels else "everybody"


def allowed(resources: list[Resource]) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Return the (from, to) pairs that the policies let in, and those that they let out."""
    into, out = set(), set()
    for policy in (each for each in resources if each["kind"] == "NetworkPolicy"):
        spec = policy["spec"]
        part = selected(spec["podSelector"]["matchLabels"])
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        for direction, key, pairs in (("ingress", "from", into), ("egress", "to", out)):
            for rule in spec.get(direction, []):
                assert rule[key], f"a rule of {policy['metadata']['name']} without peers is one for the whole world"
                for peer in rule[key]:
                    other = selected(peer.get("podSelector", {}).get("matchLabels", {}))
                    if "namespaceSelector" in peer:
                        other = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
                    pairs.add((other, part) if key == "from" else (part, other))
    return into, out


def test_each_part_is_called_by_its_callers_alone_and_nothing_else_leaves(default: list[Resource]) -> None:
    """The air gap as policies: only the gateway calls, only DNS is outside, translator and Redis call nobody."""
    into, out = allowed(default)
    inside = {("gateway", part) for part in ("translator", "summarizer", "redis-cache", "redis-jobs")}
    clients = {("nightly", "gateway"), ("test", "gateway")}
    assert into == inside | clients | {("others", "gateway")} | {("monitoring", part) for part in SERVICES}
    assert out == inside | clients | {(part, "kube-system") for part in ("gateway", "nightly", "test")}
    deny = one(default, "NetworkPolicy", "deny")["spec"]
    assert deny.keys() == {"podSelector", "policyTypes"}
    assert deny["podSelector"]["matchLabels"] == {
        "app.kubernetes.io/name": "khulasa",
        "app.kubernetes.io/instance": "khulasa",
    }
    for name, pod in pod_specs(default):
        assert pod, name
    for each in default:
        labels = each.get("spec", {}).get("template", {}).get("metadata", {}).get("labels")
        assert labels is None or deny["podSelector"]["matchLabels"].items() <= labels.items()


def test_nobody_named_is_nobody() -> None:
    """Empty lists of peers close what they are for; a rule with an empty list would open it to everybody."""
    values = {"gateway": {"callers": []}, "networkPolicy": {"dns": [], "monitoring": []}}
    into, out = allowed(list(chart.resources(chart.render(values))))
    inside = {("gateway", part) for part in ("translator", "summarizer", "redis-cache", "redis-jobs")}
    clients = {("nightly", "gateway"), ("test", "gateway")}
    assert (into, out) == (inside | clients, inside | clients)


def test_an_external_redis_is_the_only_further_way_out() -> None:
    """Named by address and port; the chart's own Redis, its password and its policies are gone then."""
    resources = list(chart.resources(chart.render(ELSEWHERE)))
    policy = one(resources, "NetworkPolicy", "gateway")["spec"]["egress"]
    blocks = [(peer["ipBlock"]["cidr"], rule["ports"]) for rule in policy for peer in rule["to"] if "ipBlock" in peer]
    assert blocks == [("10.1.2.3/32", [{"protocol": "TCP", "port": 6380}])] * 2
    assert not [each for each in resources if each["kind"] in ("StatefulSet", "Secret")]
    assert environment(resources, "gateway")["KHULASA_REDIS_URL"] == {
        "secretKeyRef": {"name": "cache-url", "key": "url"}
    }


@pytest.mark.parametrize(
    ("cpu", "threads"), [("1", "1"), (2, "2"), ("2500m", "2"), ("500m", "1"), (0.5, "1"), ("3.9", "3"), ("16", "16")]
)
def test_threads_are_the_whole_processors_of_the_limit(cpu: str | float, threads: str) -> None:
    """Never more than the quota, which would make a translation many times slower; never none."""
    resources = {"requests": {"cpu": cpu}, "limits": {"cpu": cpu}}
    rendered = list(chart.resources(chart.render({"translator": {"resources": resources}})))
    assert environment(rendered, "translator")["KHULASA_THREADS"] == threads


def test_probes_ask_whether_it_lives_and_whether_it_works(default: list[Resource]) -> None:
    """Liveness never depends on another service or on a model; readiness asks for the service by its name."""
    for name in SERVICES:
        [container] = one(default, "Deployment", name)["spec"]["template"]["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        asked = {kind: container[f"{kind}Probe"]["grpc"] for kind in ("startup", "readiness", "liveness")}
        assert {probe["port"] for probe in asked.values()} == {ports["health"]}
        assert asked["liveness"]["service"] == "live"
        assert asked["readiness"]["service"] == f"khulasa.v1.{name.capitalize()}"
        environ = environment(default, name)
        assert environ["KHULASA_HEALTH_ADDRESS"].endswith(f":{ports['health']}")
        assert environ["KHULASA_ADDRESS"].endswith(f":{ports['grpc']}")
        assert environ["KHULASA_METRICS_ADDRESS"].endswith(f":{ports['metrics']}")


def test_a_pod_has_time_to_drain(default: list[Resource]) -> None:
    """Kubernetes kills later than the process gives up."""
    for name in SERVICES:
        environ = environment(default, name)
        seconds = float(environ["KHULASA_DRAIN_S"]) + float(environ["KHULASA_DRAIN_NOTICE_S"])
        assert one(default, "Deployment", name)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > seconds


def test_the_gateway_takes_turns_among_all_replicas(default: list[Resource]) -> None:
    """Headless services behind dns:///, and connections that end, so that new replicas are found."""
    gateway = environment(default, "gateway")
    for name in ("translator", "summarizer"):
        service = one(default, "Service", name)
        assert service["spec"]["clusterIP"] == "None"
        port = service["spec"]["ports"][0]["port"]
        assert gateway[f"KHULASA_{name.upper()}"] == f"dns:///khulasa-{name}:{port}"
        assert float(environment(default, name)["KHULASA_MAX_CONNECTION_AGE_S"]) > 0


def test_every_setting_in_the_chart_is_one_that_the_process_has(resources: list[Resource]) -> None:
    """A renamed setting would be ignored in silence otherwise."""
    for name, settings in zip(SERVICES, (GatewaySettings, TranslatorSettings, SummarizerSettings), strict=True):
        known = {f"KHULASA_{field.upper()}" for field in settings.model_fields}
        used = {variable for variable in environment(resources, name) if variable.startswith("KHULASA_")}
        assert used <= known, used - known


def test_the_first_install_makes_a_token_that_the_gateway_knows_by_its_hash(default: list[Resource]) -> None:
    """The clients' file has the hash alone, and only the file is mounted."""
    data = one(default, "Secret", "tokens")["data"]
    secret = {key: base64.b64decode(value).decode() for key, value in data.items()}
    assert tomllib.loads(secret["tokens.toml"]) == {
        "default": {"token_sha256": [hashlib.sha256(secret["token"].encode()).hexdigest()]}
    }
    pod = one(default, "Deployment", "gateway")["spec"]["template"]["spec"]
    [mounted] = [volume["secret"] for volume in pod["volumes"] if volume["name"] == "tokens"]
    assert mounted["items"] == [{"key": "tokens.toml", "path": "tokens.toml"}]
    assert len(base64.b64decode(one(default, "Secret", "service-token")["data"]["token"])) >= 32
    secrets = base64.b64decode(one(default, "Secret", "cache-secrets")["data"]["secrets"])
    assert len(base64.b64decode(secrets)) == 32


def test_the_cache_forgets_and_the_jobs_are_kept(default: list[Resource]) -> None:
    """Two servers: one evicts and writes nothing, the other refuses when full and has every write on a volume."""
    cache, jobs = (one(default, "StatefulSet", f"redis-{name}")["spec"] for name in ("cache", "jobs"))
    [cache_args], [jobs_args] = (
        [container["args"] for container in spec["template"]["spec"]["containers"]] for spec in (cache, jobs)
    )
    assert "allkeys-lfu" in cache_args
    assert "appendonly" not in " ".join(cache_args)
    assert cache.get("volumeClaimTemplates") is None
    assert {"noeviction", "--appendonly", "always"} <= set(jobs_args)
    assert jobs["volumeClaimTemplates"]
    assert "--requirepass" in cache_args
    assert "--requirepass" in jobs_args


def test_a_model_of_ones_own_is_checked_before_the_translator_starts(everything: list[Resource]) -> None:
    """Copied, then verified by its digests, then mounted read-only; the gateway insists on the digest."""
    pod = one(everything, "Deployment", "translator")["spec"]["template"]["spec"]
    copy, verify = pod["initContainers"]
    assert copy["image"] == "registry.example/opus:1"
    assert verify["command"] == ["python3", "-m", "khulasa", "model", "verify", "/model"]
    [mount] = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "model"]
    assert mount == {"name": "model", "mountPath": "/model", "readOnly": True}
    assert environment(everything, "gateway")["KHULASA_EXPECTED_MODEL_DIGEST"] == DIGEST
    volume = list(chart.resources(chart.render(ELSEWHERE)))
    pod = one(volume, "Deployment", "translator")["spec"]["template"]["spec"]
    assert [each["name"] for each in pod["initContainers"]] == ["verify-model"]
    assert {"name": "model", "persistentVolumeClaim": {"claimName": "models", "readOnly": True}} in pod["volumes"]


def test_the_translator_follows_its_queue_or_its_processors(
    default: list[Resource], everything: list[Resource]
) -> None:
    """By value: the custom metric where an adapter serves it, CPU elsewhere; no fixed number of replicas beside it."""
    [cpu] = one(default, "HorizontalPodAutoscaler", "translator")["spec"]["metrics"]
    assert cpu["resource"]["name"] == "cpu"
    [queue] = one(everything, "HorizontalPodAutoscaler", "translator")["spec"]["metrics"]
    assert queue["pods"]["metric"]["name"] == "khulasa_queue_sentences"
    assert "replicas" not in one(default, "Deployment", "translator")["spec"]


def test_with_tls_every_call_inside_is_encrypted_and_the_services_ask_for_certificates(
    everything: list[Resource],
) -> None:
    """Mounted as folders, so that a renewed certificate arrives; probes stay on the port without TLS."""
    for name in SERVICES:
        environ = environment(everything, name)
        assert environ["KHULASA_TLS_CERT"] == "/etc/khulasa/tls/tls.crt"
        assert environ["KHULASA_TLS_CLIENT_CA"] == "/etc/khulasa/tls/ca.crt"
        pod = one(everything, "Deployment", name)["spec"]["template"]["spec"]
        mounts = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "tls"]
        assert mounts == [{"name": "tls", "mountPath": "/etc/khulasa/tls", "readOnly": True}]
        assert {"name": "tls", "secret": {"secretName": f"{name}-tls"}} in pod["volumes"]
    assert environment(everything, "gateway")["KHULASA_SERVICES_TLS_CA"] == "/etc/khulasa/tls/ca.crt"


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"translator": {"replica": 3}}, "replica"),
        ({"translator": {"autoscaling": {"metric": "queues"}}}, "metric"),
        ({"translator": {"resources": {"limits": {"cpu": "two"}}}}, "cpu"),
        ({"model": {"expectedDigest": "latest"}}, "expectedDigest"),
        ({"model": {"source": "volume"}}, r"model\.volume\.claim is needed"),
        ({"tls": {"enabled": True}}, r"tls\.\w+Secret is needed"),
        ({"nightly": {"enabled": True}}, r"nightly\.claim is needed"),
    ],
)
def test_wrong_values_are_refused_at_install_and_named(values: dict[str, Any], complaint: str) -> None:
    """By the schema, or by the template that needs another value beside them."""
    with pytest.raises(helm_python.HelmError, match=complaint):
        chart.render(values)


def test_helm_finds_no_fault_with_the_chart() -> None:
    """Strictly; that a chart should have an icon is no fault."""
    findings = helm_python.lint(chart.CHART, strict=True)
    assert findings["errors"] == []


def test_helm_test_sends_an_article_that_is_not_from_the_cache(default: list[Resource]) -> None:
    """As a client's, with the token, and with a right to call the gateway."""
    pod = one(default, "Pod", "test")
    [container] = pod["spec"]["containers"]
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert "--no-cache" in container["command"]
    assert {"name": "KHULASA_GATEWAY", "value": "khulasa-gateway:50050"} in container["env"]
    assert pod["metadata"]["labels"]["app.kubernetes.io/component"] == "test"


def test_the_plain_manifests_are_the_chart() -> None:
    """As `make manifests` wrote them; whoever changes the chart runs it."""
    assert (chart.DEPLOY / "kubernetes" / "khulasa.yaml").read_text() == chart.plain_manifests()


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl")
def test_kustomize_builds_the_plain_manifests() -> None:
    """All of them, in the namespace, and valid for the newest Kubernetes."""
    import yaml

    built = subprocess.run(
        ["kubectl", "kustomize", chart.DEPLOY / "kubernetes"], capture_output=True, text=True, check=True
    )
    resources = list(yaml.safe_load_all(built.stdout))
    plain = list(yaml.safe_load_all(chart.plain_manifests()))
    assert len(resources) == len(plain) + 1
    for each in resources:
        assert each["kind"] == "Namespace" or each["metadata"]["namespace"] == "khulasa"
        kubernetes_validate.validate(each, newest_versions()[-1], strict=True)

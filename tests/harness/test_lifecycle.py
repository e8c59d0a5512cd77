"""The life of the processes: really started, really signalled, and what callers see meanwhile."""

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from khulasa.up import Services, free_port, until_serving
from services.translator.model import BadModel, Model
from tests.conftest import write_manifest


async def test_sigterm_drains_and_ends_with_success() -> None:
    """A service is SERVING when ready and ends with status 0 after SIGTERM."""
    address = f"127.0.0.1:{free_port()}"
    services = Services({"translator": "127.0.0.1:1", "summarizer": address, "gateway": "127.0.0.1:2"})
    await services.start_one("summarizer", os.environ)
    process = services.processes["summarizer"]
    try:
        await until_serving(address)
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_a_gateway_without_its_services_is_not_ready_and_says_why() -> None:
    """Started first, the gateway waits: its health is NOT_SERVING and calls are told to come back."""
    services = Services(
        {"translator": "127.0.0.1:1", "summarizer": "127.0.0.1:2", "gateway": f"127.0.0.1:{free_port()}"}
    )
    await services.start_one("gateway", os.environ)
    try:
        async with grpc.aio.insecure_channel(services.addresses["gateway"]) as channel:
            request = health_pb2.HealthCheckRequest(service="khulasa.v1.Gateway")
            reply = await health_pb2_grpc.HealthStub(channel).Check(request, wait_for_ready=True, timeout=20)
            assert reply.status == health_pb2.HealthCheckResponse.NOT_SERVING
    finally:
        await services.stop()
    assert services.processes["gateway"].returncode == 0


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("KHULASA_BATCH_TOKENS", "many", "KHULASA_BATCH_TOKENS is 'many'"),
        ("KHULASA_ADDRESS", "0.0.0.0:50051", "which others can reach"),
    ],
)
async def test_a_bad_setting_ends_the_process_with_a_line_that_names_it(
    variable: str, value: str, complaint: str
) -> None:
    """Status 2 and the variable's name, before a model is loaded."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.translator", env=os.environ | {variable: value}, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert complaint in errors.decode()


async def test_a_changed_byte_in_the_model_is_a_refusal_to_start(model_folder: Path, tmp_path: Path) -> None:
    """The process ends with an error that names the file."""
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    (folder / "model.bin").write_bytes(b"No weights")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.translator",
        env=os.environ | {"KHULASA_MODEL": str(folder), "KHULASA_ADDRESS": "127.0.0.1:0"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert "model.bin has SHA-256" in errors.decode()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"format": 2}, "format 2"),
        ({"files": {"../secret": "0"}}, "outside its folder"),
        ({"files": {"absent": "0"}}, "is missing"),
        ({"surprise": 1}, "not a manifest"),
    ],
)
def test_a_bad_manifest_is_refused(
    model_folder: Path, tmp_path: Path, changes: dict[str, object], complaint: str
) -> None:
    """What does not describe its folder exactly is no model."""
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    write_manifest(folder, **changes)
    with pytest.raises(BadModel, match=complaint):
        Model.open(folder)

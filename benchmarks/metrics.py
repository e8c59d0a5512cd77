"""What a running service tells of itself and what the system tells of it: its metrics and its memory."""

import asyncio
import urllib.request

import psutil
from prometheus_client.parser import text_string_to_metric_families

from khulasa.up import Services

SETTINGS = {"KHULASA_METRICS_ADDRESS": "127.0.0.1:0"}
"""Of services that are to be asked: each takes a free port for its metrics."""


class Metrics:
    """The metrics of one process of `services`, which were started with `SETTINGS`."""

    def __init__(self, services: Services, name: str) -> None:
        own = int(services.addresses[name].rpartition(":")[2])
        listening = psutil.Process(services.processes[name].pid).net_connections(kind="inet")
        [port] = {it.laddr.port for it in listening if it.status == psutil.CONN_LISTEN} - {own}
        self._url = f"http://127.0.0.1:{port}/metrics"

    async def read(self) -> dict[str, float]:
        """Return every sample by its name; those that differ only in labels are added up."""
        text = await asyncio.to_thread(self._get)
        values: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                values[sample.name] = values.get(sample.name, 0.0) + sample.value
        return values

    def _get(self) -> str:
        with urllib.request.urlopen(self._url, timeout=10) as answer:
            text: str = answer.read().decode()
            return text


def resident_mb(services: Services) -> dict[str, float]:
    """Return the memory of each service now."""
    return {
        name: round(psutil.Process(process.pid).memory_info().rss / 1e6, 1)
        for name, process in services.processes.items()
    }

"""The chart, rendered as `helm template` does: for `make manifests` and the tests. Needs the extra "deploy".

python deploy/chart.py > deploy/kubernetes/khulasa.yaml
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import helm_python
import yaml

DEPLOY = Path(__file__).parent
CHART = DEPLOY / "helm" / "khulasa"
PLAIN_VALUES = DEPLOY / "kubernetes" / "values.yaml"
NOT_PLAIN = ("templates/NOTES.txt", "templates/tests/")
"""What only Helm has a use for."""


def render(values: Mapping[str, Any], *, release: str = "khulasa", namespace: str = "news") -> dict[str, str]:
    """Return the text of every template by its path in the chart. Raises HelmError for values that are refused."""
    with helm_python.Chart.load(CHART) as chart:
        rendered = chart.render(dict(values), name=release, namespace=namespace)
    return {path.removeprefix("khulasa/"): text for path, text in sorted(rendered.items())}


def resources(rendered: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield what would be applied."""
    for path, text in rendered.items():
        if path.endswith(".yaml"):
            yield from (document for document in yaml.safe_load_all(text) if document)


def plain_manifests() -> str:
    """Return deploy/kubernetes/khulasa.yaml as it should be."""
    rendered = render(yaml.safe_load(PLAIN_VALUES.read_text()), namespace="khulasa")
    plain = {path: text for path, text in rendered.items() if not path.startswith(NOT_PLAIN)}
    documents = list(resources(plain))
    for document in documents:
        _forget_helm(document)
    return "# Rendered from deploy/helm/khulasa by `make manifests`.\n" + yaml.safe_dump_all(documents, sort_keys=False)


def _forget_helm(node: Any) -> None:
    """Take away the label that says who looks after a resource, wherever labels stand."""
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _forget_helm(child)
    if isinstance(node, dict):
        node.pop("app.kubernetes.io/managed-by", None)


if __name__ == "__main__":
    sys.stdout.write(plain_manifests())

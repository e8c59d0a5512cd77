"""What the images are made of, and how they are run."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
TARGETS = ("gateway", "translator", "summarizer")


def pins(lock: Path) -> dict[str, set[str]]:
    """Return the versions of each package: for all Pythons there may be several."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9._-]+)==(\S+)", lock.read_text(), re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


def canonical(requirement: str) -> str:
    [name] = re.findall(r"^[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="the extra deploy is not installed")
def test_hadolint_finds_no_fault_with_the_dockerfile() -> None:
    """At its strictest, and with no rule left out."""
    result = subprocess.run(
        ["hadolint", "--failure-threshold", "style", DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_has_the_packages_that_its_process_needs_as_everybody_has_them(target: str) -> None:
    """Its lock has all of the extra's packages, each with hashes, in the versions of requirements.lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"][target]]
    lock = DEPLOY / "locks" / f"{target}.lock"
    locked, everywhere = pins(lock), pins(ROOT / "requirements.lock")
    assert {canonical(each) for each in needed} <= locked.keys(), "run make lock"
    others = {name: version for name, version in locked.items() if not version <= everywhere.get(name, version)}
    assert not others, "run make lock"
    entries = re.split(r"^(?=[a-z])", lock.read_text(), flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in lock.read_text()


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_its_process_without_a_shell_and_not_as_root(target: str) -> None:
    """The entry point is a list, the user a number that no passwd file has to know."""
    [stage] = re.findall(rf"^FROM runtime AS {target}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    module = "gateway" if target == "gateway" else f"services.{target}"
    assert f'ENTRYPOINT ["python3", "-m", "{module}"]' in stage
    assert "RUN" not in stage
    assert "USER" not in stage
    assert "USER 65532:65532" in DOCKERFILE


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_has_all_the_code_that_its_process_and_the_command_line_import(target: str, tmp_path: Path) -> None:
    """What is copied into it is enough: nothing of ours is imported from elsewhere."""
    [stage] = re.findall(rf"^FROM runtime AS {target}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    for line in re.findall(r"^COPY (?!--from)(.*)$", stage.replace("\\\n", " "), re.MULTILINE):
        *copied, place = line.split()
        for source in copied:
            if source.startswith("models"):
                continue
            to = tmp_path / place / (Path(source).name if place.endswith("/") else "")
            to.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, to, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, to)
    module = "gateway" if target == "gateway" else f"services.{target}"
    code = f"""
import sys
from pathlib import Path
sys.path = [path for path in sys.path if not (Path(path or ".") / "services").is_dir()]
sys.path.insert(0, {str(tmp_path)!r})
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
import {module}.__main__, khulasa.cli
assert {module}.__file__.startswith({str(tmp_path)!r})
"""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_no_image_fetches_anything_in_its_build() -> None:
    """Packages come from wheels that were checked before; nothing else is asked of a network."""
    script = (DEPLOY / "install-packages.sh").read_text()
    for install in re.findall(r"pip\S* (?:--python \S+ )?install.*(?:\n.*)?", DOCKERFILE + script):
        assert "--no-index" in install
        assert "--require-hashes" in install
    assert not re.search(r"curl|wget|apt-get|^ADD|https?://", DOCKERFILE + script, re.MULTILINE)


def test_compose_runs_everything_closed() -> None:
    """Read-only, with limits; only the gateway has a port, on loopback, and the rest has no way out."""
    yaml = pytest.importorskip("yaml", reason="the extra deploy is not installed")
    compose: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    assert set(TARGETS) < services.keys()
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"]
        assert not service["user"].startswith(("0", "root"))
        assert service["mem_limit"]
        if name != "gateway":
            assert "ports" not in service
            assert service["networks"] == ["inside"]
    assert compose["networks"]["inside"]["internal"]
    assert all(port.startswith("127.0.0.1:") for port in services["gateway"]["ports"])
    assert float(services["translator"]["environment"]["KHULASA_THREADS"]) <= services["translator"]["cpus"]

"""Compose file, Dockerfile and manifests agree with each other and with the code."""

import ast
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from app.core.settings import Settings
from tests.rehearsal.dockerfile import filled, read_dockerfile

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = sorted((ROOT / "docs" / "kubernetes").glob("*.yaml"))


@pytest.fixture(scope="module")
def image():
    return read_dockerfile(ROOT / "Dockerfile", TORCH="cpu")[-1]


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load(filled((ROOT / "docker-compose.yml").read_text(), {}))["services"]


def test_the_image_runs_as_an_ordinary_user_and_tells_whether_it_lives(image):
    assert image.user > 0
    assert image.command[:2] == ["hotslot", "serve"]
    assert "/healthz" in image.health[-1]


def test_everything_waits_for_the_migration_and_that_for_the_database(services):
    assert services["migrate"]["depends_on"] == {"db": {"condition": "service_healthy"}}
    for name in ("api", "worker", "worker-gpu"):
        gate = services[name]["depends_on"]
        assert gate == {"migrate": {"condition": "service_completed_successfully"}}
        assert services[name]["restart"] == "unless-stopped"
        assert services[name]["deploy"]["resources"]["limits"]["memory"]


def test_the_database_takes_the_connections_of_as_many_replicas_as_have_ports(services):
    first, last = services["api"]["ports"][0].split(":")[1].split("-")
    of_api = 2 * Settings.model_fields["database_pool_size"].default
    n_api = int(last) - int(first) + 1
    workers_and_fits = n_api * (7 + of_api)
    given = int(services["db"]["command"][-1].removeprefix("max_connections="))
    assert n_api * of_api + workers_and_fits < given


def test_settings_named_in_the_files_exist(services):
    named = {key for service in services.values() for key in service.get("environment", {})}
    for path in MANIFESTS:
        for document in yaml.safe_load_all(path.read_text()):
            pods = document.get("spec", {}).get("template", {}).get("spec", {})
            # Links of the service `hotslot` would set HOTSLOT_PORT to tcp://ADDRESS:80.
            assert not pods or pods["enableServiceLinks"] is False
            for container in pods.get("containers", []):
                named |= {entry["name"] for entry in container["env"]}
    known = {f"HOTSLOT_{name.upper()}" for name in Settings.model_fields} | {"HOTSLOT_SECRETS_DIR"}
    assert {name for name in named if name.startswith("HOTSLOT_")} <= known


API_VERSIONS = {
    "Deployment": "apps/v1",
    "Job": "batch/v1",
    "Kustomization": "kustomize.config.k8s.io/v1beta1",
    "PodDisruptionBudget": "policy/v1",
    "Service": "v1",
}


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_manifests_have_what_every_object_needs(path):
    for document in yaml.safe_load_all(path.read_text()):
        assert document["apiVersion"] == API_VERSIONS[document["kind"]]
        if document["kind"] in ("Deployment", "Job"):
            pod = document["spec"]["template"]["spec"]
            assert pod["securityContext"]["runAsNonRoot"]
            assert all(c["resources"]["limits"]["memory"] for c in pod["containers"])


def pins(name):
    lines = (ROOT / name).read_text().splitlines()
    return dict(line.split(" ")[0].split("==") for line in lines if "==" in line.split(" ")[0])


@pytest.mark.parametrize("kind", ["", "-cuda"])
def test_the_image_has_what_runs_at_the_versions_that_are_tested(kind):
    image, everything = pins(f"requirements-image{kind}.lock"), pins(f"requirements{kind}.lock")
    assert image.items() < everything.items()
    assert not {"pytest", "mypy", "ruff", "hatchling", "schemathesis", "playwright"} & set(image)


@pytest.mark.slow
def test_what_the_code_imports_is_in_the_image():
    at = packages_distributions()
    imported = set()
    for folder in ("app", "models", "migrations"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    imported.add(node.module.partition(".")[0])
    ours = {"app", "models", "migrations"}
    image = {name.replace("-", "_") for name in pins("requirements-image.lock")}
    for module in imported - set(sys.stdlib_module_names) - ours:
        names = {name.lower().replace("-", "_") for name in at[module]}
        assert names & image, f"{module} is not in the image"

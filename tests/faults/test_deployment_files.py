"""Compose file, Dockerfile and manifests agree with each other and with the code."""

from pathlib import Path

import pytest
import yaml

from app.config import Settings
from benchmarks.rehearsal.dockerfile import filled, read_dockerfile

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


def test_settings_named_in_the_files_exist(services):
    named = {key for service in services.values() for key in service.get("environment", {})}
    for path in MANIFESTS:
        for document in yaml.safe_load_all(path.read_text()):
            pods = document.get("spec", {}).get("template", {}).get("spec", {})
            for container in pods.get("containers", []):
                named |= {entry["name"] for entry in container["env"]}
    known = {f"HOTSLOT_{name.upper()}" for name in Settings.model_fields} | {"HOTSLOT_SECRETS_DIR"}
    assert {name for name in named if name.startswith("HOTSLOT_")} <= known


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_manifests_have_what_every_object_needs(path):
    for document in yaml.safe_load_all(path.read_text()):
        assert document["apiVersion"]
        assert document["kind"]
        if document["kind"] in ("Deployment", "Job"):
            pod = document["spec"]["template"]["spec"]
            assert pod["securityContext"]["runAsNonRoot"]
            assert all(c["resources"]["limits"]["memory"] for c in pod["containers"])

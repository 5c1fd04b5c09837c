"""What deploy/kubernetes asks of KEDA, read by models that are made of its own definitions."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cloudcoil.models.keda import v1alpha1
from pydantic import ValidationError

DEPLOY = Path(__file__).parents[2] / "deploy" / "kubernetes"


def _objects() -> Iterator[dict[str, Any]]:
    for path in sorted(DEPLOY.glob("*/*.yaml")):
        for manifest in yaml.safe_load_all(path.read_text()):
            if manifest["apiVersion"].startswith("keda.sh/"):
                yield manifest


OBJECTS = {manifest["kind"]: manifest for manifest in _objects()}


def _understood(manifest: dict[str, Any]) -> Any:
    """Return what KEDA knows of a manifest; a member that it does not define is left out."""
    model = getattr(v1alpha1, manifest["kind"]).model_validate(manifest)
    return model.model_dump(mode="json", by_alias=True, exclude_unset=True)


def test_the_queues_scaler_and_its_rights_are_keda_s() -> None:
    """There is one of each kind that is deployed."""
    assert sorted(OBJECTS) == ["ScaledObject", "TriggerAuthentication"]


@pytest.mark.parametrize("kind", OBJECTS)
def test_keda_defines_every_member_that_is_deployed(kind: str) -> None:
    """Read and written again it is the same: nothing is unknown to KEDA, or of another type."""
    assert _understood(OBJECTS[kind]) == OBJECTS[kind]


@pytest.mark.parametrize("kind", OBJECTS)
def test_a_member_that_keda_does_not_define_is_found(kind: str) -> None:
    """A misspelt one would be left out without a word."""
    manifest = copy.deepcopy(OBJECTS[kind])
    manifest["spec"]["misspelt"] = 1

    assert _understood(manifest) != manifest


@pytest.mark.parametrize(
    ("member", "value"),
    [("scaleTargetRef", None), ("maxReplicaCount", "many"), ("triggers", {"type": "redis"})],
)
def test_a_value_that_keda_does_not_take_is_refused(member: str, value: object) -> None:
    """What must be there, and of which type, is KEDA's to say."""
    manifest = copy.deepcopy(OBJECTS["ScaledObject"])
    manifest["spec"][member] = value

    with pytest.raises(ValidationError):
        _understood(manifest)

"""What the fits of a backtest read, as bytes that any worker turns back into the same arrays.

Other workers get these bytes instead of reading the region again: uploads, corrections and erasures may have
changed it meanwhile, and all fits of a backtest must see the same.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from app.core.errors import HotslotError
from app.core.software import software
from app.evaluation.backtests.checkpoints import (
    Protocol,
    Task,
    TaskResult,
    daily_name,
    models_digest,
    pack_result,
    unpack_result,
)
from app.evaluation.backtests.consistency.joint_tests import JointTest, JointTests
from app.evaluation.backtests.execute import Inputs
from app.evaluation.backtests.streets import StreetTests
from app.geo.grid import Grid
from models.evaluation.consistency import Clustering, CountErrors
from models.incidents import Incidents
from models.streets.scoring import StreetTest
from models.times.intervals import Intervals

_GRID_NUMBERS = ("crs", "x0_m", "y0_m", "cell_size_m", "nx", "ny")
_GRID_ARRAYS = ("cell_id", "area_km2")
_JOINT_ARRAYS = ("mean", "window", "time_s")
_STREET_NUMBERS = ("digest", "minimum", "n_segments", "length_km")


class InputsDiffer(HotslotError):
    """The bytes are not what was planned, or this software would fit something else to them."""

    code = "inputs_differ"


def pack_inputs(inputs: Inputs) -> bytes:
    """Return an npz archive; equal inputs give equal bytes."""
    incidents, grid, protocol, streets, joint = inputs
    header = {
        "protocol": asdict(protocol),
        "grid": {name: getattr(grid, name) for name in _GRID_NUMBERS},
        "streets": None if streets is None else _street_numbers(streets),
        "joint": None if joint is None else _joint_numbers(joint),
    }
    arrays = {f"grid_{name}": getattr(grid, name) for name in _GRID_ARRAYS}
    arrays |= _columns("incidents", incidents)
    if incidents.intervals is not None:
        arrays |= _columns("intervals", incidents.intervals)
    if streets is not None:
        arrays |= _street_arrays(streets)
    for origin_s, test in () if joint is None else joint.by_origin.items():
        arrays |= {f"joint_{origin_s}_{name}": getattr(test, name) for name in _JOINT_ARRAYS}
    file = io.BytesIO()
    np.savez(file, header=np.array(json.dumps(header, sort_keys=True)), **arrays)
    return file.getvalue()


def plan_digest(content: bytes) -> str:
    """Return the SHA-256 (hex) of packed inputs and of the software that fits to them."""
    versions = software("torch", "numpy", "scipy", "scikit-learn")
    digest = hashlib.sha256(json.dumps(versions, sort_keys=True).encode())
    digest.update(models_digest().encode())
    digest.update(content)
    return digest.hexdigest()


def unpack_inputs(content: bytes, plan: str) -> Inputs:
    """Return the inputs from `pack_inputs`.

    Raises:
        InputsDiffer: the digest is not that of the plan.
    """
    if plan_digest(content) != plan:
        raise InputsDiffer(
            "the data are not those of the backtest's plan, or this worker's software is not that of the "
            "worker that planned it"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        header = json.loads(str(stored["header"]))
        arrays = {name: stored[name] for name in stored.files if name != "header"}
    grid = Grid(**header["grid"], **_of("grid", arrays))
    found = _of("intervals", arrays)
    intervals = Intervals(**found) if found else None
    incidents = Incidents(**_of("incidents", arrays), intervals=intervals)
    streets = None if header["streets"] is None else _streets(header["streets"], arrays)
    given: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in header["protocol"].items()
    }
    joint = None if header["joint"] is None else _joint(header["joint"], arrays)
    return Inputs(incidents, grid, Protocol(**given), streets, joint)


def _joint_numbers(joint: JointTests) -> dict[str, Any]:
    return {
        str(origin_s): {
            "errors": asdict(test.errors),
            "clustering": asdict(test.clustering),
            "n_before": test.n_before,
        }
        for origin_s, test in joint.by_origin.items()
    }


def _joint(numbers: dict[str, Any], arrays: dict[str, Any]) -> JointTests:
    return JointTests(
        {
            int(origin): JointTest(
                **{name: arrays[f"joint_{origin}_{name}"] for name in _JOINT_ARRAYS},
                errors=CountErrors(**found["errors"]),
                clustering=Clustering(**found["clustering"]),
                n_before=found["n_before"],
            )
            for origin, found in numbers.items()
        }
    )


def _street_numbers(streets: StreetTests) -> dict[str, Any]:
    named = {name: getattr(streets, name) for name in _STREET_NUMBERS}
    return {**named, "bandwidth_m": {str(o): at.bandwidth_m for o, at in streets.by_origin.items()}}


def _street_arrays(streets: StreetTests) -> dict[str, Any]:
    """Return the arrays of all origins; lengths and shares by length are the same for all."""
    first = next(iter(streets.by_origin.values()))
    arrays = {"street_length_m": first.length_m, **_sparse("street_by_length", first.by_length)}
    for origin_s, at in streets.by_origin.items():
        arrays |= _sparse(f"street_{origin_s}_shares", at.shares)
        arrays |= {f"street_{origin_s}_counts": at.counts, f"street_{origin_s}_segment": at.segment}
    return arrays


def _streets(numbers: dict[str, Any], arrays: dict[str, Any]) -> StreetTests:
    bandwidths = numbers.pop("bandwidth_m")
    by_length = _read_sparse("street_by_length", arrays)
    by_origin = {
        int(origin): StreetTest(
            arrays["street_length_m"],
            by_length,
            _read_sparse(f"street_{origin}_shares", arrays),
            arrays[f"street_{origin}_counts"],
            arrays[f"street_{origin}_segment"],
            bandwidth_m,
        )
        for origin, bandwidth_m in bandwidths.items()
    }
    return StreetTests(**numbers, by_origin=by_origin)


def _sparse(name: str, matrix: csr_array) -> dict[str, Any]:
    parts = {part: getattr(matrix, part) for part in ("data", "indices", "indptr")}
    return {f"{name}_{part}": value for part, value in parts.items()} | {
        f"{name}_shape": np.array(matrix.shape)
    }


def _read_sparse(name: str, arrays: dict[str, Any]) -> csr_array:
    data, indices, indptr, shape = (
        arrays[f"{name}_{part}"] for part in ("data", "indices", "indptr", "shape")
    )
    return csr_array((data, indices, indptr), shape=tuple(shape.tolist()))


def _columns(prefix: str, of: Incidents | Intervals) -> dict[str, Any]:
    found = {f"{prefix}_{one.name}": getattr(of, one.name) for one in fields(of)}
    return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}


def _of(prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    start = f"{prefix}_"
    return {name[len(start) :]: v for name, v in arrays.items() if name.startswith(start)}


def pack_results(results: Sequence[TaskResult]) -> bytes:
    """Return all results of one fit as an archive of archives."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for number, result in enumerate(results):
            archive.writestr(zipfile.ZipInfo(str(number)), pack_result(result))
    return file.getvalue()


def unpack_results(content: bytes, task: Task, protocol: Protocol) -> list[TaskResult]:
    """Return all results of one fit from `pack_results`."""
    names = [task.model, *([] if protocol.refresh is None else [daily_name(task.model)])]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [
            unpack_result(archive.read(str(number)), Task(name, task.origin_s, task.seed))
            for number, name in enumerate(names)
        ]

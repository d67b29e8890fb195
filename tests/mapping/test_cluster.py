"""Maps on a dask.distributed cluster: the local map's bytes, even when a worker dies."""

import os
import signal
import time
from multiprocessing import forkserver

import pytest

from spatioformer.common import cluster as shared
from spatioformer.common.errors import ModelError, OutputError
from spatioformer.common.progress import Console
from spatioformer.mapping import Resources, cluster, map_raster
from spatioformer.models.store import load
from tests.helpers.maps import noise, small, stacked

pytestmark = pytest.mark.integration

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """Two worker processes of one thread on this machine; they share one import of libraries."""
    forkserver.set_forkserver_preload(["distributed", "spatioformer.mapping"])
    forkserver.ensure_running()  # one that runs already has the libraries of an evaluation
    with (
        dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",  # None is port 8787, which another may have
            local_directory=str(tmp_path_factory.mktemp("dask")),
        ) as local,
        distributed.Client(local) as client,
    ):
        yield client


@pytest.fixture
def case(tmp_path, monkeypatch):
    """A model's folder, imagery of 30 tiles, and the local map's bytes."""
    monkeypatch.setattr("spatioformer.mapping.predictor.UNIT", 16)
    folder = small().save(tmp_path / "model")
    scene = noise(tmp_path / "a.tif", (75, 83))
    map_raster(folder, scene, tmp_path / "local.tif", samples=2, sd_step=16)
    return folder, scene, (tmp_path / "local.tif").read_bytes()


def mapped(case, out, client, **options) -> bytes:
    resources = Resources(scheduler=client.scheduler.address)
    map_raster(*case[:2], out, samples=2, sd_step=16, resources=resources, **options)
    return out.read_bytes()


def test_the_map_of_the_cluster_is_the_local_one(tmp_path, case, workers):
    assert mapped(case, tmp_path / "map.tif", workers) == case[2]
    opened = workers.run(lambda: cluster._opened.cache_info().misses)
    assert sum(opened.values()) <= 2, "a worker opens the model once"
    assert workers.run(lambda: cluster._opened.cache_info().currsize).values()


def test_a_stack_is_opened_by_the_workers(tmp_path, workers, monkeypatch):
    monkeypatch.setattr("spatioformer.mapping.predictor.UNIT", 16)
    folder = stacked().save(tmp_path / "model")
    scene = noise(tmp_path / "a.tif", (75, 83))
    map_raster(folder, scene, tmp_path / "local.tif")
    case = folder, scene, (tmp_path / "local.tif").read_bytes()
    assert mapped(case, tmp_path / "map.tif", workers) == case[2]


def test_an_answer_that_gets_lost_is_asked_for_again(tmp_path, case, workers, monkeypatch):
    original, lost = distributed.Future.result, []

    def forgetful(job, timeout=None):
        if len(lost) < 3:
            lost.append(job)
            raise TimeoutError
        return original(job, timeout)

    monkeypatch.setattr(distributed.Future, "result", forgetful)
    assert mapped(case, tmp_path / "map.tif", workers) == case[2]
    assert len(lost) == 3


def test_a_worker_that_sees_another_model(tmp_path, case, workers, monkeypatch):
    monkeypatch.setattr("spatioformer.mapping.identity", lambda _: "0" * 64)
    with pytest.raises(ModelError, match="a worker sees another model in"):
        mapped(case, tmp_path / "map.tif", workers)


def test_the_cluster_needs_a_path(tmp_path, case, workers):
    with pytest.raises(
        ModelError,
        match="the workers of a cluster load the model from a folder; give map_raster that folder",
    ):
        mapped((load(case[0]), case[1]), tmp_path / "map.tif", workers)


def test_a_worker_that_dies(tmp_path, case, workers, monkeypatch):
    out, original = tmp_path / "map.tif", shared.finished
    pids = list(workers.run(os.getpid).values())
    seen = []

    def murderous(jobs):
        for tile, record in original(jobs):
            if len(seen) == 5:
                os.kill(pids[0], signal.SIGKILL)
            seen.append(tile)
            yield tile, record

    monkeypatch.setattr(shared, "finished", murderous)
    assert mapped(case, out, workers) == case[2]
    assert sorted(seen) == list(range(30)), "no tile is handed in twice"
    deadline = time.monotonic() + 120
    while len(workers.nthreads()) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert pids[0] not in workers.run(os.getpid).values()


def test_no_scheduler(tmp_path, case, monkeypatch):
    monkeypatch.setattr(shared, "PATIENCE", 0.3)
    resources = Resources(scheduler="tcp://127.0.0.1:9")
    with pytest.raises(OutputError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9; start"):
        map_raster(*case[:2], tmp_path / "map.tif", resources=resources)
    assert not (tmp_path / "map.tif.tiles").exists()


# --- a scheduler without workers ------------------------------------------------------------------


@pytest.fixture
def lonely(tmp_path):
    """A scheduler that has no worker yet; its workers are threads, which start at once."""
    with distributed.LocalCluster(
        n_workers=0,
        threads_per_worker=1,
        processes=False,
        dashboard_address=":0",
        local_directory=str(tmp_path / "dask"),
    ) as local:
        yield local


def test_a_scheduler_without_a_worker(tmp_path, case, lonely, monkeypatch, capsys):
    """Case 15."""
    monkeypatch.setattr(shared, "NOTICE", 0.5)
    address, out = lonely.scheduler_address, tmp_path / "map.tif"
    resources = Resources(scheduler=address, worker_timeout=2)
    began = time.monotonic()
    with pytest.raises(OutputError) as refused:
        map_raster(*case[:2], out, samples=2, sd_step=16, resources=resources,
                   console=Console(interactive=False))  # fmt: skip
    assert 2 <= time.monotonic() - began < 30
    assert str(refused.value) == (
        f"the Dask scheduler at {address} has had no worker for 2 s; start one with `dask worker "
        f"{address}` and run again, which keeps the finished tiles, or wait longer with "
        "--worker-timeout"
    )
    assert capsys.readouterr().err == (
        f"  the Dask scheduler at {address} has no worker; start one with `dask worker {address}` "
        "(giving up after 2 s)\n"
    )
    assert not out.exists()


def test_the_only_worker_dies(tmp_path, case, lonely, monkeypatch):
    """The finished tiles are kept; with a new worker the map has the same bytes."""
    monkeypatch.setattr(shared, "REFRESH", 0.2)
    original, finished = shared.finished, []
    out = tmp_path / "map.tif"

    def deadly(jobs):
        for tile, record in original(jobs):
            finished.append(tile)
            yield tile, record
            if len(finished) == 5:
                lonely.scale(0)

    lonely.scale(1)
    lonely.wait_for_workers(1, timeout=120)  # slow on a busy machine
    monkeypatch.setattr(shared, "finished", deadly)
    resources = Resources(scheduler=lonely.scheduler_address, worker_timeout=2)
    with pytest.raises(OutputError, match="has had no worker for 2 s"):
        map_raster(*case[:2], out, samples=2, sd_step=16, resources=resources)
    kept = len(finished)
    assert 5 <= kept < 30
    lonely.scale(1)
    lonely.wait_for_workers(1, timeout=120)  # slow on a busy machine
    map_raster(*case[:2], out, samples=2, sd_step=16, resources=resources)
    assert out.read_bytes() == case[2]
    assert len(finished) == 30, "no tile is computed twice"

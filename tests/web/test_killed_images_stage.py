"""The images stage against live sources, killed three times: nothing is lost or fetched twice."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import torch
import yaml
from live_sources import expected_status

from imf_core.base.artifacts import read_parquet, write_parquet
from imf_core.graph.entities import FINGERPRINT_KEY
from imf_core.graph.graph import Graph
from imf_core.graph.labels import SPLITS, save_graph
from imf_core.web.hosts import REQUESTS_IN_ALL

ROOT = Path(__file__).parents[2]
NUM_PORTS = 8
NUM_KILLS = 3
MAX_PER_ENTITY = 2


class Sources:
    """The live sources, and their log."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "requests.log"
        self._log.touch()
        self._process = subprocess.Popen(
            [
                sys.executable,
                Path(__file__).with_name("live_sources.py"),
                str(NUM_PORTS),
                self._log,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.ports = [int(port) for port in self._process.stdout.readline().split()]

    def forget(self) -> None:
        """Resets all paths and the log."""
        urllib.request.urlopen(f"http://127.0.0.1:{self.ports[0]}/forget").close()
        os.truncate(self._log, 0)

    def url(self, number: int) -> str:
        """Returns the URL of a path."""
        return f"http://127.0.0.1:{self.ports[number % NUM_PORTS]}/{number}"

    def log(self) -> list[str]:
        """Returns the complete lines of the log."""
        return self._log.read_text().rpartition("\n")[0].splitlines()

    def num_lines(self) -> int:
        return self._log.read_bytes().count(b"\n")

    def stop(self) -> None:
        self._process.terminate()
        self._process.communicate()


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[Sources]:
    started = Sources(tmp_path)
    yield started
    started.stop()


class Project:
    """A folder in which the images stage runs."""

    def __init__(self, folder: Path, num_entities: int, sources: Sources) -> None:
        self.folder = folder
        none = torch.zeros(0, 3, dtype=torch.long)
        labels = [f"e{number}" for number in range(num_entities)]
        graph = Graph(labels, labels, labels, ["r"], ["r"], dict.fromkeys(SPLITS, none))
        save_graph(graph, graph.facts, folder / "data/graph")
        (folder / "data/raw").mkdir()
        rows = sources_of(num_entities)
        table = pa.table(
            {
                "entity_id": pa.array([row[0] for row in rows], pa.int64()),
                "source": [sources.url(row[1]) for row in rows],
            }
        )
        path = folder / "data/graph/image_sources.parquet"
        write_parquet(path, table, {FINGERPRINT_KEY: graph.fingerprint})
        looked_up = folder / "data/media/image_sources.parquet"
        write_parquet(looked_up, table.slice(0, 0), {FINGERPRINT_KEY: graph.fingerprint})
        params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        hosts = [f"127.0.0.1:{port}" for port in sources.ports]
        params["fetch"] |= {"allowed_private_hosts": hosts, "timeout_seconds": 20.0, "attempts": 2}
        params["images"] |= {"max_per_entity": MAX_PER_ENTITY, "images_per_shard": 200}
        (folder / "params.yaml").write_text(yaml.safe_dump(params))

    def start(self) -> subprocess.Popen[str]:
        hidden = ("IMF_MIRROR", "IMF_STATE")
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        return subprocess.Popen(
            [sys.executable, "-m", "stages.images"],
            cwd=self.folder,
            env={**environment, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self) -> str:
        """Runs the stage to its end and returns what it printed, with seconds and memory."""
        started, peak = time.monotonic(), 0
        process = self.start()
        while process.poll() is None:
            peak = max(peak, peak_mebibytes(process.pid))
            time.sleep(0.05)
        seconds = time.monotonic() - started
        output = process.communicate()[0]
        assert process.returncode == 0, output
        return f"{output}{seconds:.1f} s, {peak} MiB at most"

    def indexed(self) -> set[str]:
        """Returns the paths whose content is in the store."""
        index = sqlite3.connect(self.folder / ".imf/web/index.sqlite")
        try:
            rows = index.execute("SELECT url FROM outcomes WHERE status = 'ok'").fetchall()
        finally:
            index.close()
        return {"/" + url.rpartition("/")[2] for (url,) in rows}

    def rows(self, name: str) -> list[dict[str, object]]:
        """Reads a table without its times."""
        rows = read_parquet(self.folder / "data/images" / name).to_pylist()
        return [{key: value for key, value in row.items() if key != "fetched_at"} for row in rows]

    def shards(self) -> dict[str, bytes]:
        """Reads the shards."""
        paths = (self.folder / "data/images").glob("shard-*.parquet")
        return {path.name: path.read_bytes() for path in paths}


def peak_mebibytes(pid: int) -> int:
    """Reads the peak memory of a process, 0 where the system does not report it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line) // 1024


def sources_of(num_entities: int) -> list[tuple[int, int]]:
    """Lists (entity, path): most have one source, one in seven has four, one in twenty has none."""
    rows = []
    for entity in range(num_entities):
        if entity % 20 == 19:
            continue
        count = 4 if entity % 7 == 0 else 1
        step = num_entities + 37  # the further sources of an entity are of other kinds
        rows += [(entity, entity + step * extra) for extra in range(count)]
    return rows


def surplus_paths(num_entities: int) -> set[str]:
    """Lists the unneeded paths: enough others of their entity are good."""
    surplus = set()
    good: Counter[int] = Counter()
    for entity, number in sources_of(num_entities):
        if good[entity] == MAX_PER_ENTITY:
            surplus.add(f"/{number}")
        else:
            good[entity] += expected_status(number) == "ok"
    return surplus


def kill_when(process: subprocess.Popen[str], is_time: Callable[[], bool]) -> None:
    """Kills the stage at the chosen moment."""
    while not is_time():
        assert process.poll() is None, "the stage ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def check_killed_stage(tmp_path: Path, sources: Sources, num_entities: int) -> None:
    whole = Project(tmp_path / "whole", num_entities, sources)
    print(f"undisturbed, {num_entities} entities: {whole.finish()}")
    num_lines = sources.num_lines()
    print(f"{sum(line.startswith('asked') for line in sources.log())} requests")

    sources.forget()
    killed = Project(tmp_path / "killed", num_entities, sources)
    moments = random.Random(0)
    most_lines = num_lines // (NUM_KILLS + 2)
    for number in range(NUM_KILLS):
        before = len(sources.log())
        has_store = (killed.folder / ".imf/web/index.sqlite").exists()
        finished = killed.indexed() if has_store else set()
        if number < NUM_KILLS - 1:
            num_more = moments.randrange(5, most_lines)
            kill_when(killed.start(), lambda goal=before + num_more: sources.num_lines() >= goal)
        else:  # everything is fetched: the pictures are being written
            kill_when(killed.start(), lambda: bool(killed.shards()))
        asked = {line.split()[1] for line in sources.log()[before:] if line.startswith("asked")}
        assert not asked & finished, f"run {number} asked again for what was in the store"
        assert not (killed.folder / "data/images/manifest.parquet").exists()
    finished, before = killed.indexed(), len(sources.log())
    print(f"the run after {NUM_KILLS} kills: {killed.finish()}")
    lines = sources.log()
    asked = {line.split()[1] for line in lines[before:] if line.startswith("asked")}
    assert finished
    assert not asked & finished, "the last run asked again for what was in the store"
    num_requests = sum(line.startswith("asked") for line in lines)
    sent = Counter(line.split()[1] for line in lines if line.startswith("sent"))
    twice = sum(count - 1 for count in sent.values())
    print(f"{num_requests} requests in all; {len(finished)} files were there before the last run")
    print(f"{twice} files were under way at a kill and sent again")
    assert twice <= NUM_KILLS * REQUESTS_IN_ALL  # those on their way at a kill

    manifest = killed.rows("manifest.parquet")
    assert [row["entity_id"] for row in manifest] == list(range(num_entities))
    assert manifest == whole.rows("manifest.parquet")
    assert killed.rows("sources.parquet") == whole.rows("sources.parquet")
    assert killed.shards() == whole.shards()
    assert killed.shards()
    surplus = surplus_paths(num_entities)
    assert surplus
    assert not surplus & {line.split()[1] for line in lines}
    for row in killed.rows("sources.parquet"):
        number = int(str(row["source"]).rpartition("/")[2])
        expected = "surplus" if f"/{number}" in surplus else expected_status(number)
        assert row["status"] == expected, row
    left = {path.name for path in (killed.folder / "data/images").iterdir()}
    assert left == {*killed.shards(), "manifest.parquet", "sources.parquet"}


@pytest.mark.slow
def test_the_images_stage_killed_three_times_ends_as_if_undisturbed(
    tmp_path: Path, sources: Sources
) -> None:
    check_killed_stage(tmp_path, sources, 1_000)


@pytest.mark.full_size
@pytest.mark.slow
def test_the_images_stage_of_15000_entities_killed_three_times_ends_as_if_undisturbed(
    tmp_path: Path, sources: Sources
) -> None:
    check_killed_stage(tmp_path, sources, 15_000)

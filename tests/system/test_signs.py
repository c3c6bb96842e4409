"""Each fault of one queue has its sign in the metrics, on the page and in ``s3events status``.

They are made at once, each on a queue of its own. ``python -m tests.benchmarks.faults_seen`` makes the faults
of a whole Airflow, too, and measures all fifteen.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from airflow_s3events.demo.aws import EmbeddedAws
from airflow_s3events.demo.cluster import Cluster
from tests.lines import AIRFLOW
from tests.statsd import StatsdServer
from tests.system.fault_signs import FAULTS, Fault
from tests.system.fault_stage import can_mount, fault_stage, wait_ready
from tests.system.postgres import PostgresMissingError, find_binaries

#: What a look takes, and what a machine that does other things lets wait.
_SLACK_SECONDS = 120.0
Seen = dict[str, dict[str, float]]


def _missing() -> str:
    if AIRFLOW < (3, 1):
        return "the page of Airflow 3.1 and later"
    if find_spec("statsd") is None:
        return "Airflow sends StatsD with the package statsd only"
    try:
        find_binaries()
    except PostgresMissingError as missing:
        return f"a ledger that goes away is one in PostgreSQL: {missing}"
    return ""


pytestmark = [pytest.mark.skipif(bool(_missing()), reason=_missing()), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def seen(
    cluster: Cluster, aws: EmbeddedAws, statsd: StatsdServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[dict[str, set[str]], Seen]]:
    """What the page showed before, and when each fault was seen where."""
    folder: Path = tmp_path_factory.mktemp("signs")
    faults = [fault for fault in FAULTS if fault.code != "disk_full" or can_mount()]
    with fault_stage(cluster, aws, statsd, folder, faults) as stage:
        wait_ready(stage)
        before = stage.lookout.on_page()
        signs = {fault.name: fault.sign(stage.places[fault.name]) for fault in faults}
        since = stage.make(faults)
        most = max(fault.allowed_seconds for fault in faults)
        found = stage.lookout.watch(signs, since, most + _SLACK_SECONDS)
        yield {fault.name: before[signs[fault.name].key] for fault in faults}, found


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.code)
def test_a_fault_is_seen_in_metrics_page_and_command(
    fault: Fault, seen: tuple[dict[str, set[str]], Seen]
) -> None:
    name, code = fault.name, fault.code
    before, found = seen
    if name not in found:
        pytest.skip("a disk that is soon full is mounted, which only root may")
    assert code not in before[name]
    assert set(found[name]) == {"metrics", "page", "command"}, found

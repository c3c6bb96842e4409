"""Notes when a task process came to life, was resumed and created runs: the same notes on every side."""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # comes with Airflow

from airflow_s3events._compat import airflow_runs


def note(what: str, **more: Any) -> None:
    """Append one line to the file that ``read`` reads."""
    line = json.dumps({"what": what, "pid": os.getpid(), "at": time.time(), **more})
    with (Path(os.environ["BENCHMARK_FOLDER"]) / "marks.jsonl").open("a") as file:
        file.write(f"{line}\n")


def read(folder: Path) -> list[dict[str, Any]]:
    """Everything noted so far."""
    path = folder / "marks.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def mark_creates() -> None:
    """From now on note each create call of this process, with its length."""
    kind: Any = type(airflow_runs())
    create = kind.create

    @functools.wraps(create)
    async def marked(self: Any, dag_id: str, run_id: str, conf: dict[str, Any]) -> bool:
        start = time.time()
        answer: bool = await create(self, dag_id, run_id, conf)
        note("create", dag_id=dag_id, run_id=run_id, start=start, seconds=time.time() - start)
        return answer

    kind.create = marked


def mark_method(kind: type, name: str) -> None:
    """From now on note each call of a method, with the birth of its process."""
    method: Callable[..., Any] = getattr(kind, name)

    @functools.wraps(method)
    def marked(self: Any, *args: Any, **kwargs: Any) -> Any:
        note(name, dag_id=self.dag_id, born=psutil.Process().create_time())
        return method(self, *args, **kwargs)

    setattr(kind, name, marked)

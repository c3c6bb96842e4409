"""What differs between Airflow's lines for tests and benchmarks that run on each of them.

Importing it imports no Airflow, which would choose its home before the tests have.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

#: Major and minor version of the Airflow that is installed.
AIRFLOW = tuple(int(part) for part in version("apache-airflow").split(".")[:2])

#: Head of a DAG file that every line can parse.
DAG_IMPORTS = """
try:
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG, Param, get_current_context, task
except ImportError:  # Airflow 2
    from airflow.decorators import task
    from airflow.models import DAG
    from airflow.models.param import Param
    from airflow.operators.empty import EmptyOperator
    from airflow.operators.python import get_current_context
"""

#: Column of ``dag_run`` that says when a run was stored: it is queued as it is.
STORED_AT = "created_at" if AIRFLOW >= (3, 2) else "queued_at"


def serialized(dag: Any) -> Any:
    """Return the DAG as Airflow's scheduler has it: written to data, and read again."""
    import json

    from airflow.serialization import serialized_objects

    name = "DagSerialization" if hasattr(serialized_objects, "DagSerialization") else "SerializedDAG"
    serialization: Any = getattr(serialized_objects, name)
    return serialization.from_dict(json.loads(json.dumps(serialization.to_dict(dag))))


def dag_bag(path: Any, **more: Any) -> Any:
    """Return what Airflow reads in a DAG file."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # before Airflow 3.1
        from airflow.models.dagbag import DagBag  # type: ignore[import-not-found,no-redef,unused-ignore]
    arguments: dict[str, Any] = (
        {"known_pools": {"default_pool"}} if AIRFLOW >= (3, 2) else {"include_examples": False}
    )
    return DagBag(path, **arguments, **more)

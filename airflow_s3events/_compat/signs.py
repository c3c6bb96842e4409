"""Where a dispatcher's signs are written: XComs of its task, on Airflow 3."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from airflow_s3events._compat import _AIRFLOW
from airflow_s3events.signs import SIGNS_KEY, Sign


def sign_writer(ti: Any, process: Literal["task", "triggerer"]) -> Callable[[Sign], Awaitable[None]] | None:
    """Return what writes signs; None where nobody could read them: on Airflow 2, or without a task instance.

    Sent as it is, past a backend of XComs that the administrator may have set: Airflow's API is to show it.

    Args:
        ti: The task instance: a task's own, or that of a trigger.
        process: Where this runs.
    """
    if _AIRFLOW < (3, 0) or ti is None:
        return None

    async def write(sign: Sign) -> None:
        from airflow.sdk.execution_time.comms import SetXCom

        from airflow_s3events._compat.supervisor_runs import send

        index = getattr(ti, "map_index", None)
        request = SetXCom(
            key=f"{SIGNS_KEY}{sign.code}",
            value=sign.serialize(),
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=ti.task_id,
            map_index=None if index is None or index < 0 else index,
        )
        if process == "task":
            await asyncio.to_thread(send, request)
            return
        from asgiref.sync import sync_to_async

        # Before 3.3 the way back to the triggerer's loop is asgiref's.
        await sync_to_async(send)(request)

    return write

"""The files of a bundle as values: name to content, nothing read and nothing written.

The form of ``requirements.txt`` is what MWAA's image makes of it
(https://github.com/aws/amazon-mwaa-docker-images, ``python/mwaa/utils/user_requirements.py``): a file in
which some line, be it a comment, names a constraints file gets only that one; every other file gets the
constraints of the image, which lie beside it. So none is named: the image's fit, and need no network.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from airflow_s3events.mwaa.images import Image
from airflow_s3events.mwaa.package import Package, Wheel
from airflow_s3events.mwaa.words import dag_text, readme_text
from airflow_s3events.policies import Resources, merged, role_policy, statements_of

#: Where MWAA unpacks ``plugins.zip``.
PLUGINS = "/usr/local/airflow/plugins"

#: Option to value. By default Airflow has 600 and MWAA's images 1800. The messages by which a worker gets its
#: tasks stay hidden for 12 hours when it dies with them (``python/mwaa/config/celery.py`` of the image), so
#: this alone ends the silence of a dispatcher that was lost on its way to a worker.
OPTIONS: Mapping[str, str] = MappingProxyType({"scheduler.task_queued_timeout": "600"})

#: The oldest date that a zip file can hold: the same wheel gives the same bytes on any day.
_NO_DATE = (1980, 1, 1, 0, 0, 0)


def documents(package: Package, image: Image, resources: Resources) -> dict[str, bytes]:
    """Return the files of a bundle, in the order in which they are used.

    Args:
        package: What is to be installed.
        image: The image of the environment.
        resources: The queue and what belongs to it; a bucket adds what a sensor needs.

    Raises:
        ConfigurationError: There is no queue.
    """
    files = {"execution-role-policy.json": _json(execution_role_policy(resources))}
    if package.wheel is not None:
        files["plugins.zip"] = plugins_zip(package.wheel)
    files["requirements.txt"] = requirements(package, image).encode()
    files["configuration.json"] = _json(OPTIONS)
    files["dags/s3events_dispatcher.py"] = dag_text(str(resources.queue)).encode()
    files["README.md"] = readme_text(image, package.pin, files).encode()
    return files


def requirements(package: Package, image: Image) -> str:
    """Return ``requirements.txt``: one exact pin, and where its wheel lies if it comes with the bundle."""
    lines = [
        f"# Amazon MWAA, Airflow {image.airflow}. Written by s3events mwaa-bundle.",
        "# Name no constraints in this file, not even in a comment: without any, MWAA adds its image's own.",
    ]
    if package.wheel is not None:
        lines += ["--no-index", f"--find-links {PLUGINS}"]
    return "\n".join([*lines, package.pin, ""])


def plugins_zip(wheel: Wheel) -> bytes:
    """Return ``plugins.zip`` with the wheel in it; the same bytes for the same wheel."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo(wheel.file_name, date_time=_NO_DATE)
        entry.external_attr = 0o644 << 16
        archive.writestr(entry, wheel.content)
    return buffer.getvalue()


def execution_role_policy(resources: Resources) -> dict[str, Any]:
    """Return what the execution role needs beside AWS's own policy for it, which reaches only MWAA's queues.

    Schedulers, triggerers and workers share that role
    (https://docs.aws.amazon.com/mwaa/latest/userguide/mwaa-create-role.html).
    """
    policy = role_policy("dispatch", resources)
    if resources.bucket is None:
        return policy
    waiting = role_policy("sensor", replace(resources, queue=None, queue_key=None))
    return merged(policy, statements_of(waiting))


def _json(document: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(dict(document), indent=2)}\n".encode()

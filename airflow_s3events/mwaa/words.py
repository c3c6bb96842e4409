"""The two files of a bundle that people read: its README and the DAG file to begin with."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_s3events.mwaa.images import Image

_DAG = '''"""Starts one run of process_object for each object event: put your DAG's id there."""

from airflow_s3events import s3_event_dispatcher

dispatcher = s3_event_dispatcher(
    dag_id="s3events_dispatcher",
    sqs_queue="{queue}",
    routes="process_object",
)
'''

_README = """# For Amazon MWAA, Airflow {airflow}

`BUCKET` is the environment's own bucket, `NAME` the environment, `ROLE` its execution role. Run the
commands in this folder.

1. Let the execution role reach the queue: AWS's own policy for it reaches only MWAA's queues. This adds
   an inline policy and changes no other:

   ```sh
   aws iam put-role-policy --role-name ROLE --policy-name s3events \\
     --policy-document file://execution-role-policy.json
   ```

   If the queue has a KMS key of yours, the key's own policy must let the role use it, too.

2. {upload}

   ```sh
{copies}
   ```

3. Look at the options that the environment has: the update below takes the whole set. So put yours and
   those of `configuration.json` into one file.

   ```sh
   aws mwaa get-environment --name NAME --query Environment.AirflowConfigurationOptions
   ```

   `scheduler.task_queued_timeout` 600 is Airflow's default, where MWAA's is 1800: so many seconds after a
   start of the dispatcher was lost with a dying worker, Airflow notices. Leave it out if tasks of yours wait
   longer than this for a worker.

4. Update the environment. All its containers start anew, which takes a while:

   ```sh
   aws mwaa update-environment --name NAME \\
     --airflow-configuration-options file://configuration.json \\
     {paths}
   ```

5. See that the package is there: **MWAA starts an environment even when an installation has failed.**
   The newest log stream `requirements_install_...` of the scheduler, and of the workers, must end in
   `Successfully installed {name}`.

6. Put your DAG's id into `dags/s3events_dispatcher.py` and upload it:

   ```sh
   aws s3 cp dags/s3events_dispatcher.py s3://BUCKET/dags/
   ```

   Unpause `s3events_dispatcher` in the UI. From then on every message of the queue starts a run.
"""

_FROM_WHEEL = """Upload the files. The wheel is in `plugins.zip`: this needs no index and no network. An
   environment has one `plugins.zip` and one `requirements.txt`. If yours has them already, add the wheel
   to that archive, and to that file the lines below the comments; leave `--no-index` out unless all of its
   packages come as wheels."""

_FROM_INDEX = """Upload the file. An environment has one `requirements.txt`: if yours has one already, add
   the last line to it. It is installed from an index, so the environment needs a way there; for one
   without, make this bundle with `--wheel`."""


def dag_text(queue: str) -> str:
    """Return a DAG file that every line of Airflow reads."""
    return _DAG.format(queue=queue)


def readme_text(image: Image, pin: str, files: Iterable[str]) -> str:
    """Return the next steps.

    Args:
        image: The image of the environment.
        pin: What is installed, as in ``requirements.txt``.
        files: Names of the bundle's files.
    """
    uploads = [name for name in ("plugins.zip", "requirements.txt") if name in files]
    return _README.format(
        airflow=image.airflow,
        name=pin.replace("==", "-"),
        upload=_FROM_WHEEL if len(uploads) > 1 else _FROM_INDEX,
        copies="\n".join(f"   aws s3 cp {name} s3://BUCKET/" for name in uploads),
        paths=" \\\n     ".join(f"--{name.partition('.')[0]}-s3-path {name}" for name in uploads),
    )

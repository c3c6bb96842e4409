"""A video lands, and a container on Fargate transcodes it: minutes of work that no worker of Airflow does.

The container gets bucket, key and version in its environment, as data, and never as words of a command
line. While it works the task is deferred and holds no worker slot.
"""

from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator
from airflow.sdk import dag

from airflow_s3events import Route, s3_event_dispatcher
from airflow_s3events.filters import event_type, suffix

dispatcher = s3_event_dispatcher(
    dag_id="transcode_dispatcher",
    sqs_queue="videos-events",
    routes=Route(dag_id="transcode", when=event_type("ObjectCreated:*") & suffix(".mov", ".mp4")),
)

ENVIRONMENT = {
    "SOURCE_BUCKET": "{{ dag_run.conf['s3_event']['bucket'] }}",
    "SOURCE_KEY": "{{ dag_run.conf['s3_event']['key'] }}",
    "SOURCE_VERSION": "{{ dag_run.conf['s3_event']['version_id'] or '' }}",
    "TARGET_BUCKET": "videos-web",
}


@dag(schedule=None)
def transcode():
    EcsRunTaskOperator(
        task_id="transcode",
        cluster="media",
        task_definition="transcode",
        launch_type="FARGATE",
        overrides={
            "containerOverrides": [
                {
                    "name": "ffmpeg",
                    "environment": [{"name": name, "value": value} for name, value in ENVIRONMENT.items()],
                }
            ]
        },
        network_configuration={
            "awsvpcConfiguration": {"subnets": ["subnet-12345678"], "assignPublicIp": "DISABLED"}
        },
        deferrable=True,
        # A task that Airflow loses sight of is found again, not started twice.
        reattach=True,
    )


transcode()

"""An artefact is uploaded, and CodeBuild builds from it. The amazon provider has a hook for any client.

The token is the event's id: for five minutes CodeBuild starts one build of it, however often it is asked.
"""

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.sdk import PokeReturnValue, dag, get_current_context, task

from airflow_s3events import Route, events_of, s3_event_dispatcher
from airflow_s3events.filters import event_type, suffix
from airflow_s3events.identity import event_id

dispatcher = s3_event_dispatcher(
    dag_id="codebuild_dispatcher",
    sqs_queue="artefacts-events",
    routes=Route(dag_id="codebuild", when=event_type("ObjectCreated:*") & suffix(".zip")),
)


@dag(schedule=None)
def codebuild():
    @task(retries=2)
    def start():
        (event,) = events_of(get_current_context())
        build = (
            AwsBaseHook(client_type="codebuild")
            .get_conn()
            .start_build(
                projectName="service",
                sourceTypeOverride="S3",
                sourceLocationOverride=f"{event.bucket}/{event.key}",
                idempotencyToken=event_id(event)[:64],
            )
        )
        return build["build"]["id"]

    @task.sensor(poke_interval=5, timeout=3600, mode="reschedule")
    def follow(build_id):
        codebuild = AwsBaseHook(client_type="codebuild").get_conn()
        (build,) = codebuild.batch_get_builds(ids=[build_id])["builds"]
        if build["buildStatus"] not in {"IN_PROGRESS", "SUCCEEDED"}:
            raise RuntimeError(f"{build_id} ended as {build['buildStatus']}")
        return PokeReturnValue(build["buildStatus"] == "SUCCEEDED", build_id)

    follow(start())


codebuild()

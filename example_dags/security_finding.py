"""What is done to a bucket of secrets from outside becomes a finding in Security Hub.

The finding's id is the event's id, so a retry updates it instead of adding another.
"""

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.sdk import dag, get_current_context, task

from airflow_s3events import Route, events_of, s3_event_dispatcher
from airflow_s3events.filters import prefix, source_network
from airflow_s3events.identity import event_id

ACCOUNT, REGION = "123456789012", "us-east-1"

dispatcher = s3_event_dispatcher(
    dag_id="security_finding_dispatcher",
    sqs_queue="secrets-events",
    # What does not say where it came from counts as outside.
    routes=Route(dag_id="security_finding", when=prefix("keys/") & ~source_network("10.0.0.0/8")),
)


@dag(schedule=None)
def security_finding():
    @task(retries=3)
    def report():
        (event,) = events_of(get_current_context())
        seen = event.event_time.to_iso8601_string()
        finding = {
            "SchemaVersion": "2018-10-08",
            "Id": event_id(event),
            "ProductArn": f"arn:aws:securityhub:{REGION}:{ACCOUNT}:product/{ACCOUNT}/default",
            "GeneratorId": "airflow/security_finding",
            "AwsAccountId": ACCOUNT,
            "Types": ["Unusual Behaviors/Data"],
            "CreatedAt": seen,
            "UpdatedAt": seen,
            "Severity": {"Label": "HIGH"},
            "Title": f"{event.event_type} from outside in {event.bucket}",
            "Description": f"{event.uri} by {event.principal_id} from {event.source_ip}"[:1024],
            "Resources": [{"Type": "AwsS3Object", "Id": f"arn:aws:s3:::{event.bucket}/{event.key}"[:512]}],
        }
        answer = AwsBaseHook(client_type="securityhub").get_conn().batch_import_findings(Findings=[finding])
        if answer["FailedCount"]:
            raise RuntimeError(answer["FailedFindings"][0]["ErrorMessage"])

    report()


security_finding()

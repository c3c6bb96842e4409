"""CloudWatch alarms and a dashboard for queues, as a CloudFormation stack: AWS watches when Airflow is dead.

Run ``queue_alarms`` once. To change a stack that is there, apply the same template with
``aws cloudformation deploy``: the operator makes stacks, and changes none.
"""

import json

from airflow.providers.amazon.aws.hooks.cloud_formation import CloudFormationHook
from airflow.providers.amazon.aws.operators.cloud_formation import CloudFormationCreateStackOperator
from airflow.sdk import dag, task

from airflow_s3events.alarm_templates import AlarmSettings, WatchedQueue, alarm_template

STACK = "s3events-alarms"
# Each queue with its dead letter queue, and who is told.
TEMPLATE = alarm_template(
    [
        WatchedQueue.of("landing-events=landing-events-dlq"),
        WatchedQueue.of("orders-events=orders-events-dlq"),
    ],
    AlarmSettings(
        topic="arn:aws:sns:eu-west-1:111122223333:on-call",
        # Deletions are counted by S3's request metrics, which must be on.
        buckets=("landing-zone",),
        most_deletions=500,
        late_seconds=600,
        dashboard="s3events",
    ),
)


@dag(dag_id="queue_alarms", schedule=None)
def queue_alarms():
    @task.short_circuit
    def is_missing():
        """A second run leaves the stack as it is."""
        return CloudFormationHook().get_stack_status(STACK) is None

    make = CloudFormationCreateStackOperator(
        task_id="make",
        stack_name=STACK,
        cloudformation_parameters={"TemplateBody": json.dumps(TEMPLATE), "OnFailure": "DELETE"},
    )
    is_missing() >> make


queue_alarms()

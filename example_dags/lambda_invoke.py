"""A run hands its event to a Lambda function and waits for the answer: Airflow retries, shows and remembers.

The payload is JSON made from the event, so no character of a key can break out of it.
"""

from airflow.providers.amazon.aws.operators.lambda_function import LambdaInvokeFunctionOperator
from airflow.sdk import dag

from airflow_s3events import Route, s3_event_dispatcher
from airflow_s3events.filters import event_type

dispatcher = s3_event_dispatcher(
    dag_id="lambda_dispatcher",
    sqs_queue="invoices-in-events",
    routes=Route(dag_id="lambda_invoke", when=event_type("ObjectCreated:*")),
)


@dag(schedule=None)
def lambda_invoke():
    LambdaInvokeFunctionOperator(
        task_id="invoke",
        function_name="read-invoice",
        payload="{{ dag_run.conf['s3_event'] | tojson }}",
        retries=2,
    )


lambda_invoke()

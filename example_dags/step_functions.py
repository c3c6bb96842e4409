"""A run starts a Step Functions execution and follows it to its end.

The execution has the name of the run's end, which is made from the event. A retry while it works gets the
same execution, and a later one an error: Step Functions starts one of a name, as Airflow does.
"""

from airflow.providers.amazon.aws.operators.step_function import StepFunctionStartExecutionOperator
from airflow.providers.amazon.aws.sensors.step_function import StepFunctionExecutionSensor
from airflow.sdk import dag

from airflow_s3events import Route, s3_event_dispatcher
from airflow_s3events.filters import event_type

dispatcher = s3_event_dispatcher(
    dag_id="step_functions_dispatcher",
    sqs_queue="claims-events",
    routes=Route(dag_id="step_functions", when=event_type("ObjectCreated:*")),
)


@dag(schedule=None)
def step_functions():
    start = StepFunctionStartExecutionOperator(
        task_id="start",
        state_machine_arn="arn:aws:states:us-east-1:123456789012:stateMachine:check-claim",
        name="{{ run_id[-80:] }}",
        state_machine_input="{{ dag_run.conf['s3_event'] | tojson }}",
        retries=2,
    )
    StepFunctionExecutionSensor(
        task_id="follow", execution_arn=start.output, poke_interval=5, mode="reschedule"
    )


step_functions()

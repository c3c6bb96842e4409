"""Labelled data lands: preprocess it, and train a new model if the data has drifted.

The jobs are named by the end of the run id, so a retry cannot start a second one under another name. The
processing container gets bucket and key in its environment, as data.
"""

import json

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.sagemaker import (
    SageMakerProcessingOperator,
    SageMakerTrainingOperator,
)
from airflow.sdk import dag, get_current_context, task

from airflow_s3events import Route, events_of, s3_event_dispatcher
from airflow_s3events.filters import event_type, prefix

MOST_DRIFT = 0.2

dispatcher = s3_event_dispatcher(
    dag_id="training_dispatcher",
    sqs_queue="labels-events",
    routes=Route(dag_id="retrain", when=event_type("ObjectCreated:*") & prefix("statistics/")),
)

ROLE = "arn:aws:iam::123456789012:role/training"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/fraud:1"
MACHINE = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}
PROCESSING = {
    "ProcessingJobName": "prepare-{{ run_id[-32:] }}",
    "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["python", "prepare.py"]},
    "Environment": {
        "BUCKET": "{{ dag_run.conf['s3_event']['bucket'] }}",
        "KEY": "{{ dag_run.conf['s3_event']['key'] }}",
    },
    "RoleArn": ROLE,
    "ProcessingResources": {"ClusterConfig": MACHINE},
}
TRAINING = {
    "TrainingJobName": "fraud-{{ run_id[-32:] }}",
    "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
    "RoleArn": ROLE,
    "OutputDataConfig": {"S3OutputPath": "s3://models/fraud/"},
    "ResourceConfig": MACHINE,
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
}


@dag(schedule=None)
def retrain():
    @task.short_circuit
    def has_drifted():
        (event,) = events_of(get_current_context())
        now, before = (
            json.loads(S3Hook().read_key(key, event.bucket))
            for key in (event.key, "reference/statistics.json")
        )
        return abs(now["mean"] - before["mean"]) / before["deviation"] > MOST_DRIFT

    prepare = SageMakerProcessingOperator(
        task_id="prepare", config=PROCESSING, action_if_job_exists="fail", deferrable=True
    )
    train = SageMakerTrainingOperator(
        task_id="train", config=TRAINING, action_if_job_exists="fail", deferrable=True
    )
    has_drifted() >> prepare >> train


retrain()

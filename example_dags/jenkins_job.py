"""An artefact is uploaded, and a Jenkins job deploys it.

Needs the Jenkins provider (``apache-airflow-providers-jenkins``) and a connection ``jenkins_default``. The
key is a parameter of the job; a job that puts it into a shell must quote it.
"""

from airflow.providers.jenkins.operators.jenkins_job_trigger import JenkinsJobTriggerOperator
from airflow.sdk import dag

from airflow_s3events import Route, s3_event_dispatcher
from airflow_s3events.filters import event_type, suffix

dispatcher = s3_event_dispatcher(
    dag_id="jenkins_dispatcher",
    sqs_queue="releases-events",
    routes=Route(dag_id="jenkins_job", when=event_type("ObjectCreated:*") & suffix(".jar")),
)


@dag(schedule=None)
def jenkins_job():
    JenkinsJobTriggerOperator(
        task_id="deploy",
        jenkins_connection_id="jenkins_default",
        job_name="deploy-service",
        parameters={
            "BUCKET": "{{ dag_run.conf['s3_event']['bucket'] }}",
            "KEY": "{{ dag_run.conf['s3_event']['key'] }}",
        },
    )


jenkins_job()

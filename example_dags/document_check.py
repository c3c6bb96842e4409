"""Invoices are read by Textract and held against rules; what looks forged waits for a person.

The rules here are two; a model would stand in their place. What was found, and why, is in the run.
"""

import re

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.sdk import dag, get_current_context, task

from airflow_s3events import Route, events_of, s3_event_dispatcher
from airflow_s3events.filters import event_type, suffix

KNOWN_ACCOUNTS = {"DE89370400440532013000"}

dispatcher = s3_event_dispatcher(
    dag_id="documents_check_dispatcher",
    sqs_queue="incoming-invoices-events",
    routes=Route(dag_id="document_check", when=event_type("ObjectCreated:*") & suffix(".png", ".jpg")),
)


def suspicions(lines):
    """Why a document's lines of text look forged."""
    text = "\n".join(lines)
    accounts = set(re.findall(r"\b[A-Z]{2}\d{20}\b", text.replace(" ", "")))
    if not accounts & KNOWN_ACCOUNTS:
        yield "none of our supplier's accounts is named"
    if "invoice" not in text.lower():
        yield "it does not call itself an invoice"


@dag(schedule=None)
def document_check():
    @task(retries=2)
    def read():
        (event,) = events_of(get_current_context())
        version = {} if event.version_id is None else {"Version": event.version_id}
        answer = (
            AwsBaseHook(client_type="textract")
            .get_conn()
            .detect_document_text(
                Document={"S3Object": {"Bucket": event.bucket, "Name": event.key, **version}}
            )
        )
        return [block["Text"] for block in answer["Blocks"] if block["BlockType"] == "LINE"]

    @task.branch
    def judge(lines):
        found = list(suspicions(lines))
        print(found)
        return "ask_a_person" if found else "pay"

    @task
    def ask_a_person():
        print("held")

    @task
    def pay():
        print("handed on")

    judge(read()) >> [ask_a_person(), pay()]


document_check()

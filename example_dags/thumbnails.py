"""An image lands, a thumbnail of it goes to another bucket. The workers need Pillow.

A picture that Pillow cannot read fails its run at once: no retry would help.
"""

from io import BytesIO

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk import dag, get_current_context, task

from airflow_s3events import Route, events_of, s3_event_dispatcher
from airflow_s3events.filters import event_type, size, suffix

dispatcher = s3_event_dispatcher(
    dag_id="thumbnails_dispatcher",
    sqs_queue="photos-events",
    routes=Route(
        dag_id="thumbnails",
        when=event_type("ObjectCreated:*")
        & suffix(".jpg", ".jpeg", ".png")
        & size(min_bytes=1, max_bytes=50_000_000),
    ),
)


@dag(schedule=None)
def thumbnails():
    @task(retries=2)
    def shrink():
        from PIL import Image, UnidentifiedImageError

        try:
            from airflow.sdk.exceptions import AirflowFailException
        except ImportError:  # before Airflow 3.1
            from airflow.exceptions import AirflowFailException

        (event,) = events_of(get_current_context())
        uploaded = BytesIO(S3Hook().get_key(event.key, event.bucket).get()["Body"].read())
        try:
            picture = Image.open(uploaded)
            picture.thumbnail((256, 256))
        except (UnidentifiedImageError, OSError) as unreadable:
            raise AirflowFailException(f"{event.uri} is no image: {unreadable}") from unreadable
        small = BytesIO()
        picture.convert("RGB").save(small, "JPEG")
        S3Hook().load_bytes(small.getvalue(), f"{event.key}.jpg", "photos-thumbnails", replace=True)
        return picture.size

    shrink()


thumbnails()

"""Uploads objects, and sends some of S3's messages twice."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from airflow_s3events.demo.aws import EmbeddedAws, NotifyingBucket

#: Every so many objects, one message is sent twice.
_EVERY = 4


@dataclass(frozen=True, slots=True)
class Upload:
    """One object as S3 took it. ``at`` is when ``put_object`` returned, in seconds since the epoch."""

    key: str
    version_id: str
    at: float


class Uploader:
    """Uploads to one bucket, and repeats every fourth message or so, as SQS itself may do."""

    def __init__(self, aws: EmbeddedAws, bucket: NotifyingBucket) -> None:
        self._aws = aws
        self._bucket = bucket
        self._owed = 0
        self.uploads: list[Upload] = []
        self.repeated = 0

    def put(self, key: str, content: bytes) -> None:
        """Upload one object; now and then send a waiting message once more."""
        answer = self._aws.s3.put_object(Bucket=self._bucket.bucket, Key=key, Body=content)
        self.uploads.append(Upload(key, answer["VersionId"], time.time()))
        self._owed += len(self.uploads) % _EVERY == 1
        if self._owed and self._repeat_one():
            self._owed -= 1

    def _repeat_one(self) -> bool:
        """Send the body of a waiting message again; False where the dispatcher was quicker than we.

        Received with a visibility timeout of 0, the message stays where it is.
        """
        queue_url = self._bucket.queue_url
        answer = self._aws.sqs.receive_message(QueueUrl=queue_url, VisibilityTimeout=0)
        for message in answer.get("Messages", ()):
            if json.loads(message["Body"]).get("Records"):
                self._aws.sqs.send_message(QueueUrl=queue_url, MessageBody=message["Body"])
                self.repeated += 1
                return True
        return False

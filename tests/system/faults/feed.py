"""Uploads and sends what the plan holds, some of it twice, and receives some of it as an outsider."""

from __future__ import annotations

import json
import random
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airflow_s3events.demo.aws import EmbeddedAws, NotifyingBucket
from airflow_s3events.testing import object_created_body
from tests.system.faults.plan import PlannedObject

#: Every so many objects the outsider comes by.
_OUTSIDER_EVERY = 30
_OUTSIDER_FIRST = 10
_OUTSIDER_MESSAGES = 8
#: Of the messages sent, one in so many is sent again when its run was removed.
_FORGOTTEN_EVERY = 5
#: Seconds for which the outsider hides what it takes: it walks away, and they lapse. Longer than it takes to
#: feed a wave: the emulator gives out its oldest messages first, unlike SQS, so an outsider who came back to
#: the same few would spend the receives that the redrive policy leaves them.
_OUTSIDER_SECONDS = (25, 40)


class Feeder:
    """Fills the queue.

    The copy of a message in AWS's form is sent with its delay. The copy of a real upload's message can only
    be made of what S3 sent: the outsider, who receives and walks away, sends again what it got, until all the
    copies that are owed have been sent.
    """

    def __init__(self, aws: EmbeddedAws, bucket: NotifyingBucket, dag_id: str, seed: int) -> None:
        self._aws = aws
        self._bucket = bucket
        self._chance = random.Random(seed)
        self._owed = 0
        self.manifest: dict[str, Any] = {
            "dag_id": dag_id,
            "bucket": bucket.bucket,
            "objects": [],
            "malformed": [],
        }
        self._bodies: dict[str, str] = {}
        #: Messages sent twice.
        self.repeated = 0
        #: Message id to how often the outsider let it lapse.
        self.lapsed: Counter[str] = Counter()

    def feed(self, objects: Sequence[PlannedObject]) -> None:
        """Upload or send each object; the outsider comes by every now and then."""
        for number, one in enumerate(objects, 1):
            if one.has_bad_neighbour:
                self._send_malformed(one.number)
            if one.is_upload:
                self._upload(one)
            else:
                self._send(one)
            if number % _OUTSIDER_EVERY == _OUTSIDER_FIRST:
                self.walk_away()

    def walk_away(self) -> None:
        """Receive a few messages for a few seconds and do nothing about them; send copies that are owed."""
        got = self._aws.sqs.receive_message(
            QueueUrl=self._bucket.queue_url,
            MaxNumberOfMessages=_OUTSIDER_MESSAGES,
            VisibilityTimeout=self._chance.randint(*_OUTSIDER_SECONDS),
        ).get("Messages", [])
        self.lapsed.update(message["MessageId"] for message in got)
        for message in got[: self._owed]:
            self._copy(message["Body"])
            self._owed -= 1

    def some_sent(self) -> list[str]:
        """Every so many of the versions whose messages were sent, not made by an upload."""
        return list(self._bodies)[::_FORGOTTEN_EVERY]

    def send_again(self, versions: Sequence[str]) -> None:
        """Send their messages once more, and note that their runs were removed before."""
        for version in versions:
            self._copy(self._bodies[version])
        self.manifest["forgotten"] = list(versions)

    def save(self, path: Path) -> None:
        """Write the manifest of all that was sent."""
        path.write_text(json.dumps(self.manifest))

    def _upload(self, one: PlannedObject) -> None:
        answer = self._aws.s3.put_object(Bucket=self._bucket.bucket, Key=one.key, Body=b"x" * one.size)
        self._note(one, answer["VersionId"])
        self._owed += one.copy_delay is not None

    def _send(self, one: PlannedObject) -> None:
        version_id = secrets.token_urlsafe(24)
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = object_created_body(
            self._bucket.bucket, one.key, size=one.size, version_id=version_id, event_time=now
        )
        self._aws.sqs.send_message(QueueUrl=self._bucket.queue_url, MessageBody=body, DelaySeconds=one.delay)
        self._note(one, version_id)
        self._bodies[version_id] = body
        if one.copy_delay is not None:
            self._copy(body, one.copy_delay)

    def _send_malformed(self, number: int) -> None:
        body = json.dumps({"Records": [{"s3": {"object": f"nothing {number}"}}]})
        self._aws.sqs.send_message(QueueUrl=self._bucket.queue_url, MessageBody=body)
        self.manifest["malformed"].append(body)

    def _copy(self, body: str, delay_seconds: int = 0) -> None:
        self._aws.sqs.send_message(
            QueueUrl=self._bucket.queue_url, MessageBody=body, DelaySeconds=delay_seconds
        )
        self.repeated += 1

    def _note(self, one: PlannedObject, version_id: str) -> None:
        how = "upload" if one.is_upload else "send"
        entry = {"key": one.key, "version_id": version_id, "size": one.size, "how": how, "at": time.time()}
        self.manifest["objects"].append(entry)

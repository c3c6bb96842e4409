"""Where a fault is made: one queue with its dispatcher, and an AWS that answers as it is told."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from airflow_s3events.demo.aws import EmbeddedAws, NotifyingBucket
from airflow_s3events.demo.cluster import Cluster
from airflow_s3events.testing import object_created_body
from tests.system.aws_proxy import Answer, Call

_JSON = "application/x-amz-json-1.0"


@dataclass
class Wrath:
    """What AWS answers instead of the truth, by the name of a queue."""

    #: By queue: actions, an empty set for all of them, and the answer.
    ways: dict[str, tuple[frozenset[str], tuple[int, str, str]]] = field(default_factory=dict)
    #: By queue: since when its oldest message is in it, as CloudWatch has it.
    oldest: dict[str, float] = field(default_factory=dict)

    def answer(self, call: Call) -> Answer | None:
        """Return the answer to a call, if it is not the truth."""
        if call.action == "GetMetricStatistics":
            return self._age(json.loads(call.body)["Dimensions"][0]["Value"])
        for queue, (actions, (status, code, text)) in self.ways.items():
            if f'/{queue}"'.encode() in call.body and (not actions or call.action in actions):
                error = {"__type": f"com.amazonaws.sqs#{code}", "message": text}
                return Answer(status, json.dumps(error).encode(), _JSON)
        return None

    def _age(self, queue: str) -> Answer:
        """Answer as CloudWatch, but without its minutes of delay."""
        now = time.time()
        ages = [now - self.oldest[queue]] if queue in self.oldest else []
        points = [{"Timestamp": now, "Maximum": age, "Unit": "Seconds"} for age in ages]
        answer = {"Label": "ApproximateAgeOfOldestMessage", "Datapoints": points}
        return Answer(200, json.dumps(answer).encode(), _JSON)


@dataclass
class Place:
    """One queue with its dispatcher, on which a fault is made."""

    name: str
    aws: EmbeddedAws
    cluster: Cluster
    wrath: Wrath
    bucket: NotifyingBucket
    #: What a fault of the ledger does.
    harm_ledger: Callable[[], object] = lambda: None
    fill_disk: Callable[[], object] = lambda: None

    @property
    def queue(self) -> str:
        """The queue's name."""
        return f"{self.name}-events"

    @property
    def target(self) -> str:
        """The DAG that the dispatcher starts."""
        return f"{self.name}-target"

    def send(self, body: str) -> None:
        """Put a message into the queue."""
        self.aws.sqs.send_message(QueueUrl=self.bucket.queue_url, MessageBody=body)

    def put(self, count: int = 1, *, age_seconds: float = 0.0) -> None:
        """Have so many new objects, of which the messages come so late."""
        for _ in range(count):
            key = f"in/{secrets.token_hex(6)}"
            self.send(object_created_body(self.bucket.bucket, key, event_time=at(-age_seconds)))

    def write(self, source: str, file: str = "dags") -> None:
        """Write a DAG file."""
        path = self.cluster.dags_folder / f"{self.name}_{file}.py"
        new = path.with_suffix(".new")
        new.write_text(source.replace("{name}", self.name))
        new.rename(path)

    def answers(self, way: tuple[int, str, str], *actions: str) -> None:
        """Have AWS answer so to these actions on the queue; to all where none is named."""
        self.wrath.ways[self.queue] = (frozenset(actions), way)


def at(seconds: float) -> str:
    moment = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")

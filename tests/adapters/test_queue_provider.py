"""Our scheme for the common.messaging provider's trigger."""

from __future__ import annotations

import sys
from importlib import reload

import pytest
from airflow.exceptions import AirflowOptionalProviderFeatureException, AirflowProviderDeprecationWarning

from airflow_s3events import S3EventAssetTrigger
from airflow_s3events.filters import prefix
from tests.lines import AIRFLOW

if AIRFLOW < (3, 3):
    pytest.skip("common.messaging is tested with the newest line", allow_module_level=True)

from airflow.providers.common.messaging.triggers.msg_queue import MessageQueueTrigger
from airflow.serialization.encoders import encode_trigger
from airflow.triggers.base import BaseEventTrigger

from airflow_s3events.queues import s3_event


def test_the_scheme_leads_to_our_trigger() -> None:
    through = MessageQueueTrigger(scheme="s3events", sqs_queue="q", when={"prefix": "in/"})
    direct = S3EventAssetTrigger(sqs_queue="q", when=prefix("in/"))
    hashes = {
        BaseEventTrigger.hash(encoded["classpath"], encoded["kwargs"])
        for encoded in (encode_trigger(through), encode_trigger(direct))
    }
    assert len(hashes) == 1


def test_the_old_form_leads_there_too() -> None:
    with pytest.warns(AirflowProviderDeprecationWarning):
        through = MessageQueueTrigger(queue="s3events://https://sqs.eu-west-1.amazonaws.com/1/q")
    assert through.trigger.serialize()[1]["sqs_queue"] == "https://sqs.eu-west-1.amazonaws.com/1/q"


def test_stock_s_scheme_is_left_to_stock() -> None:
    provider = s3_event.S3EventQueueProvider()
    assert not provider.scheme_matches("sqs")
    assert not provider.queue_matches("https://sqs.eu-west-1.amazonaws.com/1/q")


def test_without_common_messaging_airflow_is_told_to_pass_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "airflow.providers.common.messaging.providers.base_provider", None)
    with pytest.raises(AirflowOptionalProviderFeatureException):
        reload(s3_event)

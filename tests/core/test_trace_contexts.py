"""Spans by name: what is read is what was written, and nothing that is none is taken for one."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_s3events.messages import Message
from airflow_s3events.trace_contexts import (
    TraceContext,
    contexts_in,
    event_attributes,
    queue_attributes,
    run_attributes,
)
from tests.core.filter_strategies import make_event


def _digits(count: int) -> st.SearchStrategy[str]:
    return st.integers(1, 16**count - 1).map(lambda number: f"{number:0{count}x}")


CONTEXTS = st.builds(TraceContext, _digits(32), _digits(16), st.booleans())
OTHERS = st.sampled_from(["Lineage=a:1", "Self=1-67891233-12456789abcdef012345678", "x", ""])


def xray(context: TraceContext) -> list[str]:
    root = f"Root=1-{context.trace_id[:8]}-{context.trace_id[8:]}"
    return [root, f"Parent={context.span_id}", f"Sampled={int(context.is_sampled)}"]


@given(CONTEXTS)
def test_a_traceparent_is_read_as_it_was_written(context: TraceContext) -> None:
    assert TraceContext.of_traceparent(context.traceparent) == context


@given(CONTEXTS, st.lists(OTHERS, max_size=3), st.randoms(use_true_random=False))
def test_an_xray_header_is_read_whatever_the_order_and_with_others_among_its_parts(
    context: TraceContext, others: list[str], random: object
) -> None:
    parts = [*xray(context), *others]
    random.shuffle(parts)  # type: ignore[attr-defined]
    assert TraceContext.of_xray("; ".join(parts)) == context
    assert TraceContext.of_xray(";".join(parts).upper()) == context


@given(st.text(alphabet="0123456789abcdefRotPaenSmpld=-;:? \n", max_size=80) | st.text())
@example("Root=1-5759e988-bd862e3fe1be46a994272793")
@example("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=0000000000000000;Sampled=1")
@example("Root=1-00000000-000000000000000000000000;Parent=53995c3f42cd8ad8;Sampled=1")
@example("00-" + "0" * 32 + "-53995c3f42cd8ad8-01")
@example("ff-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01")
@example("00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01-more")
@example("00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01\n")
def test_what_is_no_span_is_none_and_no_error(text: str) -> None:
    for found in (TraceContext.of_xray(text), TraceContext.of_traceparent(text)):
        assert found is None or TraceContext.of_traceparent(found.traceparent) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Root=1-5759e988-bd862e3fe1be46a994272793",
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=0000000000000000;Sampled=1",
        "Root=1-00000000-000000000000000000000000;Parent=53995c3f42cd8ad8;Sampled=1",
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;" + "x" * 2_000,
        None,
    ],
)
def test_a_header_that_names_no_span_is_none(text: str | None) -> None:
    assert TraceContext.of_xray(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "00-" + "0" * 32 + "-53995c3f42cd8ad8-01",
        "ff-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01",
        "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01-more",
        None,
        7,
    ],
)
def test_what_is_no_traceparent_is_none(text: object) -> None:
    assert TraceContext.of_traceparent(text) is None


def test_a_later_version_of_traceparent_is_read_as_far_as_it_is_known() -> None:
    found = TraceContext.of_traceparent("cc-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-03-what-else")
    assert found == TraceContext("5759e988bd862e3fe1be46a994272793", "53995c3f42cd8ad8", is_sampled=True)


def test_an_open_decision_is_not_taken_for_sampled() -> None:
    found = TraceContext.of_xray("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=?")
    assert found is not None
    assert not found.is_sampled


@given(CONTEXTS)
def test_a_span_that_several_name_is_there_once(context: TraceContext) -> None:
    holder = {"traceparent": context.traceparent}
    assert contexts_in(None, holder, {"traceparent": 7}, "text", {}, holder) == [context]


def test_a_span_says_what_is_known_of_event_message_and_queue() -> None:
    event = make_event(
        bucket="landing",
        key="in/a.csv",
        request_id="C3D13FE58DE4C810",
        event_time=datetime(2026, 11, 26, 4, tzinfo=timezone.utc),
    )
    message = Message(message_id="m1", receipt_handle="r", body="{}", receive_count=2, trace_header="Root=1")
    found = event_attributes(event, message, redact_keys=False)
    assert found["aws.s3.bucket"] == "landing"
    assert found["aws.s3.key"] == "in/a.csv"
    assert found["aws.request_id"] == "C3D13FE58DE4C810"
    assert found["messaging.message.id"] == "m1"
    assert found["s3events.receives"] == 2
    assert found["s3events.trace_header"] == "Root=1"
    assert found["s3events.event_time"] == "2026-11-26T04:00:00.000Z"
    assert queue_attributes("https://sqs/1/landing-events")["messaging.destination.name"] == "landing-events"
    assert run_attributes("process", "s3_a", "started")["airflow.dag_run.run_id"] == "s3_a"


def test_what_is_absent_is_left_out() -> None:
    event = make_event(request_id=None, event_time=None)
    message = Message(message_id="m1", receipt_handle="r", body="{}")
    assert not {"aws.request_id", "s3events.event_time", "messaging.message.id"} & set(
        event_attributes(event, None, redact_keys=False)
    )
    assert "s3events.trace_header" not in event_attributes(event, message, redact_keys=False)


def test_a_redacted_key_is_in_no_attribute() -> None:
    found = event_attributes(make_event(key="in/Anna.csv"), None, redact_keys=True)
    assert "Anna" not in str(found)
    assert found["aws.s3.key"].startswith("sha256:")

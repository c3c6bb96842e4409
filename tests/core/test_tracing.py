"""Spans from a message to its run, with OpenTelemetry's own SDK and an exporter in memory."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import get_current_span

from airflow_s3events.context import contexts_of_run
from airflow_s3events.dispatch.dispatcher import Dispatcher
from airflow_s3events.dispatch.settings import DispatchSettings
from airflow_s3events.messages import Message
from airflow_s3events.packs import PackedEvent, payload_of
from airflow_s3events.routing import Route, Routes
from airflow_s3events.trace_contexts import TraceContext
from airflow_s3events.tracing import Traces, carrier, links_to
from tests.core.dispatch_fakes import FakeInbox, FakeRuns
from tests.core.filter_strategies import make_event
from tests.core.test_dispatch import NOW
from tests.core.test_enrich import event_of, message

XRAY = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled="
AWS_TRACE, AWS_SPAN = 0x5759E988BD862E3FE1BE46A994272793, 0x53995C3F42CD8AD8


class World:
    """A dispatcher whose spans are kept in memory."""

    def __init__(self, **provided: Any) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(**provided)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = provider.get_tracer("tests")
        self.traces = Traces(tracer=self.tracer, flush=provider.force_flush, queue="landing-events")
        self.runs = FakeRuns("process")

    async def dispatch(self, *messages: Message, routes: Any = "process") -> Dispatcher:
        dispatcher = Dispatcher(
            inbox=FakeInbox(),
            routes=Routes.of(routes),
            runs=self.runs,
            settings=DispatchSettings(),
            now=lambda: NOW,
            clock=lambda: 0.0,
            traces=self.traces,
        )
        await dispatcher.dispatch(messages)
        return dispatcher

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def span(self) -> ReadableSpan:
        (span,) = self.spans
        return span

    def conf(self) -> dict[str, Any]:
        (conf,) = self.runs.confs.values()
        return dict(conf)


def _name(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"


async def test_a_run_that_is_started_has_a_span_from_the_receive_on_and_its_conf_names_it() -> None:
    world = World()
    sent = replace(message("in/a.csv"), received_at=NOW - 5)
    await world.dispatch(sent)
    span = world.span()
    assert span.name == "process landing-events"
    assert span.kind.name == "CONSUMER"
    assert span.parent is None
    assert span.start_time == int((NOW - 5) * 1e9)
    assert span.attributes is not None
    assert span.attributes["aws.s3.key"] == "in/a.csv"
    assert span.attributes["messaging.message.id"] == sent.message_id
    ((dag_id, run_id),) = world.runs.stored
    assert (span.attributes["airflow.dag_id"], span.attributes["airflow.dag_run.run_id"]) == (dag_id, run_id)
    assert world.conf()["traceparent"] == _name(span)


async def test_it_is_a_child_of_the_span_that_sent_the_message_where_that_is_sampled() -> None:
    world = World()
    await world.dispatch(replace(message(), trace_header=f"{XRAY}1"))
    span = world.span()
    assert span.parent is not None
    assert (span.parent.trace_id, span.parent.span_id, span.parent.is_remote) == (AWS_TRACE, AWS_SPAN, True)
    assert world.conf()["traceparent"].split("-")[1] == "5759e988bd862e3fe1be46a994272793"


@pytest.mark.parametrize("sampled", ["0", "?"])
async def test_it_is_linked_with_a_trace_that_aws_may_not_keep(sampled: str) -> None:
    world = World()
    await world.dispatch(replace(message(), trace_header=f"{XRAY}{sampled}"))
    span = world.span()
    assert span.parent is None
    assert [(one.context.trace_id, one.context.span_id) for one in span.links] == [(AWS_TRACE, AWS_SPAN)]


async def test_it_is_linked_with_the_span_of_the_dispatchers_task() -> None:
    world = World()
    with world.tracer.start_as_current_span("the task") as task:
        await world.dispatch(message())
    (span,) = (one for one in world.spans if one.name != "the task")
    assert [one.context.span_id for one in span.links] == [task.get_span_context().span_id]


async def test_a_repeat_that_starts_nothing_has_no_span() -> None:
    world = World()
    await world.dispatch(message())
    await world.dispatch(replace(message(), message_id="again"))
    assert len(world.spans) == 1


async def test_each_route_of_an_event_has_its_span() -> None:
    world = World()
    world.runs = FakeRuns("process", "archive")
    routes = Routes([Route(dag_id="process"), Route(dag_id="archive")], mode="all")
    await world.dispatch(message(), routes=routes)
    found = {one.attributes["airflow.dag_id"] for one in world.spans if one.attributes}
    assert found == {"process", "archive"}
    assert len({conf["traceparent"] for conf in world.runs.confs.values()}) == 2


async def test_the_span_is_the_current_one_while_airflow_is_asked_and_not_after() -> None:
    world, seen = World(), []

    class Looking(FakeRuns):
        async def create(self, *args: Any) -> bool:
            seen.append(get_current_span().get_span_context().span_id)
            return await super().create(*args)

    world.runs = Looking("process")
    await world.dispatch(message())
    context = world.span().context
    assert context is not None
    assert seen == [context.span_id]
    assert not get_current_span().get_span_context().is_valid
    assert carrier() == {}


async def test_what_the_sampler_leaves_out_leaves_the_conf_as_it_is() -> None:
    world = World(sampler=ALWAYS_OFF)
    await world.dispatch(message())
    assert world.spans == ()
    assert set(world.conf()) == {"s3_event"}


async def test_without_a_tracer_the_conf_is_as_it_is() -> None:
    world = World()
    world.traces = Traces()
    await world.dispatch(message())
    assert world.traces.pack([PackedEvent.of(make_event())]) == {}
    assert set(world.conf()) == {"s3_event"}


async def test_a_traceparent_of_the_routes_own_stays() -> None:
    world = World()
    await world.dispatch(message(), routes=Route(dag_id="process", extra={"traceparent": "mine"}))
    assert world.conf()["traceparent"] == "mine"


class _Broken:
    """A tracer, or a span, of which nothing works."""

    def start_span(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("no tracer")


class _BrokenSpan:
    def __init__(self, span: Any) -> None:
        self._span = span

    def __getattr__(self, name: str) -> Any:
        if name in ("set_attributes", "add_event"):
            raise RuntimeError("no attributes")
        return getattr(self._span, name)


class _BrokenSpans:
    def __init__(self, tracer: Any) -> None:
        self._tracer = tracer

    def start_span(self, *args: Any, **kwargs: Any) -> Any:
        return _BrokenSpan(self._tracer.start_span(*args, **kwargs))


@pytest.mark.parametrize("kind", ["tracer", "span"])
async def test_a_fault_of_tracing_is_told_in_one_line_and_the_run_starts(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    tracer: Any = _Broken() if kind == "tracer" else _BrokenSpans(world.tracer)
    world.traces = Traces(tracer=tracer)
    with caplog.at_level(logging.INFO):
        await world.dispatch(message())
        world.traces.pack([PackedEvent.of(make_event())])
    assert len(world.runs.stored) == 1
    lines = [one for one in caplog.messages if one.startswith("decision=tracing")]
    assert len(lines) == 2
    assert "RuntimeError: no " in lines[0]


# --- batches and assets -------------------------------------------------------------------------------------


def test_the_span_of_a_batch_is_linked_with_each_of_its_messages_and_not_below_one() -> None:
    world = World()
    sent = [replace(message(), trace_header=f"{XRAY}1"), replace(message("in/b", 1), received_at=NOW)]
    with world.traces.batch(sent, 3) as made:
        pass
    world.traces.started(made, "process", "s3_batch", "batch_run")
    span = world.span()
    assert span.parent is None
    assert [one.context.trace_id for one in span.links] == [AWS_TRACE]
    assert span.attributes is not None
    assert span.attributes["messaging.batch.message_count"] == 3
    assert span.attributes["airflow.dag_run.run_id"] == "s3_batch"


def test_an_asset_event_names_its_span_which_tells_of_each_object() -> None:
    world = World()
    sent = [replace(message(), trace_header=f"{XRAY}1"), message("in/b", 1)]
    pack = [PackedEvent.of(event_of(one), one) for one in sent]
    payload = payload_of(pack, world.traces.pack(pack))
    span = world.span()
    assert payload["traceparent"] == _name(span)
    assert [one.attributes["aws.s3.key"] for one in span.events if one.attributes] == ["in/a.csv", "in/b"]
    assert [one.context.trace_id for one in span.links] == [AWS_TRACE]


def test_a_run_knows_the_spans_that_made_it() -> None:
    names = [TraceContext(f"{n:032x}", f"{n:016x}", is_sampled=True) for n in (1, 2)]

    class Stored:
        def __init__(self, extra: Any) -> None:
            self.extra = extra

    class Run:
        conf = {"traceparent": names[0].traceparent}  # noqa: RUF012

    extras = [{"payload": {"traceparent": names[1].traceparent}}, {"payload": "text"}, None]
    context = {"dag_run": Run(), "triggering_asset_events": {"asset": [Stored(extra) for extra in extras]}}
    assert contexts_of_run(context) == names
    assert contexts_of_run({}) == []
    assert [one.context.trace_id for one in links_to(names)] == [1, 2]


# --- the end ------------------------------------------------------------------------------------------------


async def test_the_end_has_spans_exported() -> None:
    world = World()
    asked: list[int] = []
    world.traces.flush = asked.append
    await world.traces.finish()
    assert asked == [1000]


@contextmanager
def _hanging() -> Iterator[Any]:
    release = threading.Event()
    try:
        yield lambda _: release.wait(60)
    finally:
        release.set()


async def test_the_end_does_not_wait_for_an_exporter_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_s3events.tracing.FLUSH_SECONDS", 0.01)
    world = World()
    with _hanging() as hang:
        world.traces.flush = hang
        await asyncio.wait_for(world.traces.finish(), 30)
        assert not any(one.name == "s3events spans" and not one.daemon for one in threading.enumerate())


async def test_the_end_outlives_an_exporter_that_fails() -> None:
    def fail(_: int) -> None:
        raise OSError("no collector")

    await Traces(tracer=World().tracer, flush=fail).finish()
    await Traces().finish()

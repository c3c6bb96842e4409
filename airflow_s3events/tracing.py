"""``Traces``: OpenTelemetry spans from a message to its run, whose names travel in the run's conf.

Best effort: a span is made and handed to the provider's processor, and nothing here waits for its export.
What goes wrong with it is told in one line and changes nothing else. Where tracing is off OpenTelemetry is
not even imported.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_s3events.decision_log import DecisionLog
from airflow_s3events.events import ObjectEvent
from airflow_s3events.messages import Message
from airflow_s3events.packs import PackedEvent
from airflow_s3events.trace_contexts import (
    TRACE_MEMBER,
    TraceContext,
    event_attributes,
    queue_attributes,
    queue_name,
    run_attributes,
)

if TYPE_CHECKING:
    from opentelemetry.trace import Link, Span, SpanContext, Tracer

#: What an end waits for spans on their way: Airflow gives a task five seconds between SIGTERM and SIGKILL.
FLUSH_SECONDS = 1.0
#: OpenTelemetry keeps so many links, and so many events, of a span.
_MOST_LINKS = 128

_CARRIER: ContextVar[Mapping[str, str]] = ContextVar("s3events_carrier")


def carrier() -> Mapping[str, str]:
    """Return what a run made now gets into its conf, to be linked with the span that makes it."""
    return _CARRIER.get({})


@dataclass(slots=True)
class RunSpan:
    """The span of what may make a run. Only one that made one is ended, and so exported."""

    span: Span | None = None
    #: What the run's conf is to hold.
    carrier: Mapping[str, str] = field(default_factory=dict)


_NO_SPAN = RunSpan()


@dataclass(slots=True, kw_only=True)
class Traces:
    """Makes spans, if there is a tracer.

    Args:
        tracer: An OpenTelemetry tracer; None: tracing is off.
        flush: Has spans on their way exported, for at most so many milliseconds; None: somebody else does.
        queue: Name, ARN or URL of the queue.
        redact_keys: Put the digest of an object key into spans instead of the key.
        lines: Gets a line where a span cannot be made.
    """

    tracer: Tracer | None = None
    flush: Callable[[int], object] | None = None
    queue: str = ""
    redact_keys: bool = False
    lines: DecisionLog = field(default_factory=DecisionLog)

    @contextmanager
    def event(self, event: ObjectEvent, message: Message) -> Iterator[RunSpan]:
        """Have runs that are made within the block linked with a span of their event.

        It is in the trace of the message's ``AWSTraceHeader`` where that is sampled, else in one of its own,
        with a link to that of the header.
        """
        if self.tracer is None:
            yield _NO_SPAN
            return
        made = self._begin(
            self.tracer, [message], event_attributes(event, message, redact_keys=self.redact_keys)
        )
        with _current(made):
            yield made

    @contextmanager
    def batch(self, messages: Sequence[Message], count: int) -> Iterator[RunSpan]:
        """Do the same for the run of a batch of ``count`` events, of which these messages are at hand.

        Its trace is its own, with a link to that of each message.
        """
        if self.tracer is None:
            yield _NO_SPAN
            return
        count_of = {"messaging.batch.message_count": count}
        made = self._begin(self.tracer, messages, count_of, is_batch=True)
        with _current(made):
            yield made

    def started(self, made: RunSpan, dag_id: str, run_id: str, outcome: str) -> None:
        """End the span of a run that was started."""
        if made.span is None:
            return
        try:
            made.span.set_attributes(run_attributes(dag_id, run_id, outcome))
            made.span.end()
        except Exception as error:
            self._note(error)

    def pack(self, events: Sequence[PackedEvent]) -> Mapping[str, str]:
        """Make the span of an asset event with these object events; return what its payload is to hold.

        Each object is an event of the span; OpenTelemetry keeps 128 of them.
        """
        if self.tracer is None:
            return {}
        messages = [*{m.message_id: m for one in events if (m := one.message) is not None}.values()]
        count_of = {"messaging.batch.message_count": len(messages)}
        made = self._begin(self.tracer, messages, count_of, is_batch=True)
        if made.span is None:
            return {}
        try:
            for one in events[:_MOST_LINKS]:
                event = ObjectEvent.deserialize(one.data)
                about = event_attributes(event, one.message, redact_keys=self.redact_keys)
                made.span.add_event("s3events.object", about)
            made.span.set_attribute("s3events.outcome", "packed")
            made.span.end()
        except Exception as error:
            self._note(error)
        return made.carrier

    async def finish(self) -> None:
        """Give spans on their way a second to go out; what is left is lost if the process ends."""
        if self.tracer is None or self.flush is None:
            return
        loop, flush = asyncio.get_running_loop(), self.flush
        done: asyncio.Future[None] = loop.create_future()

        def work() -> None:
            with suppress(Exception):
                flush(int(FLUSH_SECONDS * 1000))
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(done.cancel)

        # Some versions of OpenTelemetry heed no time-out: a thread of this kind holds no process up.
        threading.Thread(target=work, name="s3events spans", daemon=True).start()
        await asyncio.wait({done}, timeout=FLUSH_SECONDS)
        done.cancel()

    def _begin(
        self,
        tracer: Tracer,
        messages: Sequence[Message],
        attributes: Mapping[str, Any],
        *,
        is_batch: bool = False,
    ) -> RunSpan:
        try:
            about = {**queue_attributes(self.queue), **attributes}
            span = _start(tracer, f"process {queue_name(self.queue)}", about, messages, is_batch=is_batch)
            # What the sampler leaves out is nothing to link with.
            return RunSpan(span, _carrier_of(span)) if span.is_recording() else _NO_SPAN
        except Exception as error:
            self._note(error)
            return _NO_SPAN

    def _note(self, error: Exception) -> None:
        self.lines.note("tracing", outcome="failed", reason=f"{type(error).__name__}: {error}")


def _start(
    tracer: Tracer, name: str, about: Mapping[str, Any], messages: Sequence[Message], *, is_batch: bool
) -> Span:
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanKind, get_current_span, set_span_in_context

    contexts = [found for one in messages if (found := TraceContext.of_xray(one.trace_header))]
    parent = Context()
    if contexts and contexts[0].is_sampled and not is_batch:
        parent = set_span_in_context(NonRecordingSpan(_remote(contexts.pop())), parent)
    # The dispatcher's own task has a span that lasts for thousands of messages: a link, and no parent.
    links = [get_current_span().get_span_context(), *map(_remote, contexts)]
    received = [one.received_at for one in messages if one.received_at is not None]
    return tracer.start_span(
        name,
        context=parent,
        kind=SpanKind.CONSUMER,
        attributes=about,
        links=_links(links[:_MOST_LINKS]),
        start_time=int(min(received) * 1e9) if received else None,
    )


def links_to(contexts: Sequence[TraceContext]) -> list[Link]:
    """Return OpenTelemetry links to these spans."""
    return _links([_remote(one) for one in contexts])


@contextmanager
def _current(made: RunSpan) -> Iterator[None]:
    """Make a span the current one, so that Airflow's own spans of the call are children of it."""
    if made.span is None:
        yield
        return
    from opentelemetry.context import attach, detach
    from opentelemetry.trace import set_span_in_context

    token, carried = attach(set_span_in_context(made.span)), _CARRIER.set(made.carrier)
    try:
        yield
    finally:
        _CARRIER.reset(carried)
        detach(token)


def _carrier_of(span: Span) -> Mapping[str, str]:
    found = span.get_span_context()
    context = TraceContext(f"{found.trace_id:032x}", f"{found.span_id:016x}", found.trace_flags.sampled)
    return {TRACE_MEMBER: context.traceparent}


def _remote(context: TraceContext) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(
        trace_id=int(context.trace_id, 16),
        span_id=int(context.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED if context.is_sampled else TraceFlags.DEFAULT),
    )


def _links(contexts: Sequence[SpanContext]) -> list[Link]:
    from opentelemetry.trace import Link

    return [Link(context) for context in contexts if context.is_valid]

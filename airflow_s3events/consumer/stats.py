"""What a consumer has done, counted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerStats:
    """What a consumer has done so far; all are counts.

    ``received`` is always ``redelivered`` and ``in_flight`` and the three fates ``acknowledged``,
    ``released`` and ``lapsed`` together; only a message acknowledged after it lapsed counts twice.

    Attributes:
        received: Messages that receives returned, redeliveries included.
        redelivered: Of those, ones that were held already: they are not handed over again.
        acknowledged: Deletes that the queue confirmed.
        released: Releases that the queue confirmed.
        lapsed: Left to their visibility timeout: asked for, refused too often, at SQS's 12 hours, or cut off.
        in_flight: Held now.
        dead_lettered: Copies sent to the dead letter queue; their originals count as acknowledged.
        delete_failures: Entries of a delete that the queue refused, each try counted.
        receive_calls: Receives started.
        empty_receives: Receives that brought nothing.
        receive_failures: Receives that the queue refused or did not answer.
        cancelled_receives: Receives that a stop cut off. What SQS had given them lapses uncounted.
        delete_calls: Delete calls, of up to ten entries.
        delete_call_failures: Of those, ones that the queue refused or did not answer.
        extend_calls: Calls that extended visibility, of up to ten entries.
        outages: Outages met, of AWS and of the caller's own (``wait_out``).
        foreign_receives: Receives that the messages' receive counts tell of and this consumer did not make.
    """

    received: int
    redelivered: int
    acknowledged: int
    released: int
    lapsed: int
    in_flight: int
    dead_lettered: int
    delete_failures: int
    receive_calls: int
    empty_receives: int
    receive_failures: int
    cancelled_receives: int
    delete_calls: int
    delete_call_failures: int
    extend_calls: int
    outages: int
    foreign_receives: int

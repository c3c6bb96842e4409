"""Every error this package raises, and whose fault each one is.

::

    S3EventsError
    ├── BodyError            theirs: the message is not an S3 event; no redelivery can help
    ├── ConfigurationError   yours: names the setting to change; fails at once, nothing was written
    ├── RouteError           this DAG's: it will not take a run now; other routes go on
    │   ├── RunRefusedError  this one run's: Airflow cannot make it; other events of the DAG go on
    │   └── FactsNeededError nobody's: S3 has not been asked yet for what a filter wants to know
    ├── OutageError          ours to wait out: Airflow or AWS is away; nothing is released
    │   ├── AwsOutageError   AWS is
    │   │   ├── ThrottledError   it has had too many calls
    │   │   └── SkewedClockError the clock of this machine is not right
    │   └── LedgerOutageError    the ledger is
    └── ChannelError         the end of this process: it has lost Airflow for good, another one goes on
"""

from __future__ import annotations


class S3EventsError(Exception):
    """Base of all errors of this package; never raised itself."""


class BodyError(S3EventsError):
    """The text of a message, or one record in it, cannot be read as S3 object events.

    Redelivery cannot help: the same bytes come back. The message belongs in a dead letter queue,
    with ``str(error)`` as the reason.
    """


class ConfigurationError(S3EventsError):
    """A setting is wrong. The text names the setting and what to put there."""


class RouteError(S3EventsError):
    """One DAG refuses a run (missing, import error, parameters or run type refused).

    The event is tried again later; other DAGs are not affected.
    """


class RunRefusedError(RouteError):
    """This one run is refused: by Airflow, or by S3, which does not say what the route wants to know.

    Its conf fits the DAG's params no more or cannot be stored; or a right on the object is missing.

    The event is tried again later; other events of the same DAG are not affected.
    """


class FactsNeededError(RouteError):
    """A filter asks for facts of the object that the event does not carry.

    Attributes:
        part: What must be asked: ``"tags"`` or ``"head"``.
    """

    def __init__(self, part: str) -> None:
        super().__init__(f"a filter needs the object's {part}, and S3 has not been asked")
        self.part = part


class OutageError(S3EventsError):
    """Airflow or AWS is away or throttling: not the message's fault, so it is held, not released."""


class AwsOutageError(OutageError):
    """AWS is away."""


class ThrottledError(AwsOutageError):
    """AWS throttles: there have been too many calls."""


class SkewedClockError(AwsOutageError):
    """The clock of this machine is wrong: AWS does not take what it signed, or its answers say so."""


class LedgerOutageError(OutageError):
    """The ledger is away."""


class ChannelError(S3EventsError):
    """The channel of this task to Airflow is closed: its supervisor is gone.

    Nothing that this process does counts any more, so it settles nothing further and ends. Another start of
    the task goes on.
    """

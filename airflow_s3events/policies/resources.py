"""What a role works with, and the ARNs of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from airflow_s3events.arns import Arn, bucket_arn, check_bucket
from airflow_s3events.audit_address import AuditAddress
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.ledger_address import SUBJECT_INDEX, LedgerAddress
from airflow_s3events.looks import SCHEME

#: One ARN, or several that are meant alike; None where there is nothing of the kind.
Named = str | list[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a role works with; what is None, its policy does not mention."""

    queue: Arn | None = None
    dead_letter_queue: Arn | None = None
    #: Customer's KMS keys of the two queues; none where they use SSE-SQS.
    queue_key: Arn | None = None
    dead_letter_key: Arn | None = None
    #: Names, not ARNs.
    bucket: str | None = None
    #: What begins with this is what ``prove=True`` may write, and sensor and dispatcher may read.
    prefix: str = ""
    #: Name of the bucket that takes what is quarantined, and what the keys there begin with.
    quarantine_bucket: str | None = None
    quarantine_prefix: str = "quarantine/"
    topic: Arn | None = None
    function: Arn | None = None
    rule: Arn | None = None
    archive: Arn | None = None
    #: What a dispatcher's routes ask S3 about objects: ``"tags"``, ``"head"``.
    enrich: tuple[str, ...] = ()
    #: Names of the manifests that close groups, as its routes' ``Batch(manifest=...)`` have them.
    manifests: tuple[str, ...] = ()
    #: ``role/ENVIRONMENT/ROLE`` of an MWAA environment: as whom its REST API is asked.
    airflow_role: Arn | None = None
    #: Where the audit of a dispatcher, or of assets, goes: ``s3://bucket/prefix`` or ``logs:<log group>``.
    audit: str | None = None
    #: Where the ledger is: ``dynamodb:<table>``. ``sql:<Airflow connection>`` asks nothing of AWS.
    ledger: str | None = None
    #: Region and account of the ledger's table; the queue's where they are None.
    region: str | None = None
    account: str | None = None
    #: ``s3://`` URL of an S3 Inventory's ``manifest.json``, or of what the keys of its reports begin with.
    inventory: str | None = None
    #: Whether a check asks CloudTrail about the data events of the bucket.
    data_events: bool = False
    #: Partition of the bucket.
    partition: str = "aws"

    def arn(self, kind: str) -> Named:
        """Return what a statement about one kind of resource names, as ``needs`` calls them.

        Raises:
            ConfigurationError: It cannot be named by what is given; says what to give.
        """
        if kind in _NAMED:
            return _NAMED[kind](self)
        found: Arn | None = getattr(self, kind)
        return None if found is None else str(found)


def _bucket(of: Resources) -> str | None:
    return bucket_arn(check_bucket(of.bucket), partition=of.partition) if of.bucket else None


def _objects(of: Resources, name: str = "") -> str | None:
    bucket = _bucket(of)
    return None if bucket is None else f"{bucket}/{of.prefix}*{name}"


def _quarantine(of: Resources) -> str | None:
    found = of.quarantine_bucket
    return bucket_arn(check_bucket(found), partition=of.partition) if found else None


def _quarantine_objects(of: Resources) -> str | None:
    bucket = _quarantine(of)
    return None if bucket is None else f"{bucket}/{of.quarantine_prefix}*"


def _manifests(of: Resources) -> list[str]:
    """Those of these names, in whatever folder: the least that can be said of them before they are there."""
    for name in of.manifests:
        if not name or "/" in name:
            raise ConfigurationError(
                f"manifests: {name!r} is not the name of a file, such as 'manifest.json'"
            )
    return [str(_objects(of, name)) for name in of.manifests]


def _inventory(of: Resources) -> str | None:
    """Each report has a folder of its own, and all have their data in another beside those.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html
    """
    if of.inventory is None:
        return None
    bucket, _, key = of.inventory.removeprefix(SCHEME).partition("/")
    if not of.inventory.startswith(SCHEME):
        raise ConfigurationError(
            f"inventory: {of.inventory!r}: give s3://bucket/... as its manifest.json has it"
        )
    *folders, name = key.split("/")
    if name == "manifest.json":
        key = "".join(f"{folder}/" for folder in folders[:-1])
    return f"{bucket_arn(check_bucket(bucket, setting='inventory'), partition=of.partition)}/{key}*"


def _audit_objects(of: Resources) -> str | None:
    address = None if of.audit is None else AuditAddress.of(of.audit)
    if address is None or address.kind != "s3":
        return None
    return f"{bucket_arn(address.name, partition=of.partition)}/{address.prefix}*"


def _audit_group(of: Resources) -> str | None:
    """In the queue's region and account, as whoever reads the queue looks for it there."""
    address = None if of.audit is None else AuditAddress.of(of.audit)
    if address is None or address.kind != "logs" or of.queue is None:
        return None
    return str(replace(of.queue, service="logs", resource=f"log-group:{address.name}:*"))


def _ledger_table(of: Resources) -> str | None:
    if of.ledger is None:
        return None
    region, account = (of.queue.region, of.queue.account) if of.queue else (None, None)
    address = LedgerAddress.of(of.ledger, allow_url=True)
    table = address.table(of.region or region, of.account or account)
    return None if table is None else str(table)


def _ledger_index(of: Resources) -> str | None:
    table = _ledger_table(of)
    return None if table is None else f"{table}/index/{SUBJECT_INDEX}"


def _bus(of: Resources) -> str | None:
    return str(replace(of.archive, resource="event-bus/default")) if of.archive else None


#: Kind of resource to how it is named, for those that are not named by an ARN of their own.
_NAMED: Mapping[str, Callable[[Resources], Named]] = MappingProxyType(
    {
        "bucket": _bucket,
        "objects": _objects,
        "quarantine": _quarantine,
        "quarantine_objects": _quarantine_objects,
        "asked_objects": lambda of: _objects(of) if "head" in of.enrich else None,
        "asked_bucket": lambda of: _bucket(of) if "head" in of.enrich else None,
        "tagged_objects": lambda of: _objects(of) if "tags" in of.enrich else None,
        "manifest_objects": lambda of: _manifests(of) or None,
        # A report is read instead of a listing.
        "listed_bucket": lambda of: _bucket(of) if of.inventory is None else None,
        "inventory_objects": _inventory,
        "audit_objects": _audit_objects,
        "audit_group": _audit_group,
        "ledger_table": _ledger_table,
        "ledger_index": _ledger_index,
        # CloudWatch knows no narrower resource for its figures.
        "metrics": lambda of: "*" if of.queue else None,
        # Trails of other accounts and regions reach in, so that none can be named.
        "trails": lambda of: "*" if of.data_events else None,
        "bus": _bus,
    }
)

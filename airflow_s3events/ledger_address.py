"""Where a ledger is, in one text: ``sql:<connection>``, ``dynamodb:<table>``, or a database's URL. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from airflow_s3events.arns import Arn, check_account, check_region, partition_of
from airflow_s3events.exceptions import ConfigurationError

#: The index of a table by which a key's entries are found.
SUBJECT_INDEX = "subject-index"

_FORMS = "'sql:<Airflow connection>' or 'dynamodb:<table>'"
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")


@dataclass(frozen=True, slots=True)
class LedgerAddress:
    """Where a ledger is.

    Attributes:
        kind: ``sql``: a database by its Airflow connection. ``dynamodb``: a table of the AWS connection.
            ``url``: a database by SQLAlchemy's URL, for the command line: a URL can hold a password, and
            settings of tasks are shown.
        name: Connection, table or URL.
    """

    kind: str
    name: str = field(repr=False)

    @staticmethod
    def of(text: Any, *, allow_url: bool = False) -> LedgerAddress:
        """Read an address.

        Raises:
            ConfigurationError: It is none; says what to put there.
        """
        kind, _, name = text.partition(":") if isinstance(text, str) else ("", "", "")
        if name and kind in ("sql", "dynamodb"):
            return LedgerAddress(kind, name)
        if allow_url and name.startswith("//"):
            return LedgerAddress("url", text)
        shown = text if not isinstance(text, str) or "//" not in text else f"{kind}://..."
        raise ConfigurationError(f"ledger={shown!r}: give {_FORMS}{', or a URL' if allow_url else ''}")

    def table(self, region: str | None, account: str | None) -> Arn | None:
        """Return the table in that region and account; None for a ledger in a database.

        Raises:
            ConfigurationError: No table has such a name, or region or account is missing or none.
        """
        if self.kind != "dynamodb":
            return None
        if not _TABLE.fullmatch(self.name):
            raise ConfigurationError(f"ledger: {self.name!r} is no table's name; give it bare, no ARN")
        if not region or not account:
            raise ConfigurationError(
                f"ledger: table {self.name!r} is in a region and an account: give both, or the queue"
            )
        return Arn(
            partition=partition_of(check_region(region, setting="region")),
            service="dynamodb",
            region=region,
            account=check_account(account, setting="account"),
            resource=f"table/{self.name}",
        )

"""Who is compared, and how the page calls them."""

from __future__ import annotations

from collections.abc import Mapping

#: The sides, and how the page calls them.
SIDES: Mapping[str, str] = {
    "bare": "bare loop: receive, create the run, delete",
    "ours": "this package: dispatcher",
    "ours_asset": "this package: asset",
    "stock_asset": "stock: watched asset, tuned",
    "stock_default": "stock: watched asset, defaults",
    "stock_sensor": "stock: `SqsSensor`, `TriggerDagRunOperator`",
    "stock_s3": "stock: `S3KeySensor`, `TriggerDagRunOperator`",
}
#: What waits, and how the page calls it.
KINDS: Mapping[str, str] = {
    "dispatcher": "this package: a dispatcher for each queue",
    "watchers": "this package: so many assets on one queue",
    "stock_tuned": "stock: a watched asset for each queue, tuned",
    "stock_default": "stock: a watched asset for each queue, defaults",
}

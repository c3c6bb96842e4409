"""Policies of roles: what each purpose may do with what it is given, and nothing beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.policies import PURPOSES, Request, Resources, evaluate, role_policy
from tests.policy_cases import AIRFLOW_ROLE, OTHER, OWNER, QUEUE, RULE, TOPIC


class TestRoles:
    ALL = Resources(
        queue=QUEUE,
        dead_letter_queue=QUEUE,
        queue_key=QUEUE,
        dead_letter_key=QUEUE,
        bucket="landing",
        prefix="in/",
        quarantine_bucket="isolated",
        topic=TOPIC,
        function=TOPIC,
        rule=RULE,
        archive=RULE,
        airflow_role=AIRFLOW_ROLE,
    )

    @pytest.mark.parametrize("kind", ["bucket", "objects", "quarantine", "quarantine_objects", "topic"])
    def test_what_is_not_named_has_no_arn(self, kind: str) -> None:
        assert Resources(queue=QUEUE).arn(kind) is None

    @pytest.mark.parametrize("purpose", PURPOSES)
    def test_no_statement_is_about_everything(self, purpose: str) -> None:
        for statement in role_policy(purpose, self.ALL)["Statement"]:
            assert not any("*" in action for action in statement["Action"])
            assert statement["Resource"].rstrip("*").count("*") == 0
            # CloudWatch has no narrower resource for reading metrics.
            assert statement["Resource"] != "*" or statement["Sid"] == "Metrics"

    @pytest.mark.parametrize("purpose", PURPOSES)
    def test_what_is_not_named_is_not_mentioned(self, purpose: str) -> None:
        isolated = "isolated" if purpose == "quarantine" else None
        few = Resources(queue=QUEUE, dead_letter_queue=QUEUE, bucket="landing", quarantine_bucket=isolated)
        some = {statement["Sid"] for statement in role_policy(purpose, few)["Statement"]}
        named = {"Queue", "DeadLetterQueue", "Bucket", "ListedBucket", "Objects", "Metrics"}
        assert some <= (named | {"Quarantine", "QuarantineObjects"} if isolated else named)

    @pytest.mark.parametrize("purpose", PURPOSES)
    def test_names_and_actions_are_sorted_and_named_once(self, purpose: str) -> None:
        statements = role_policy(purpose, self.ALL)["Statement"]
        assert len({statement["Sid"] for statement in statements}) == len(statements)
        for statement in statements:
            assert statement["Action"] == sorted(set(statement["Action"]))

    def test_a_dispatcher_may_do_what_the_readme_says(self) -> None:
        policy = role_policy("dispatch", Resources(queue=QUEUE))
        assert policy["Statement"] == [
            {
                "Sid": "Queue",
                "Effect": "Allow",
                "Action": [
                    "sqs:ChangeMessageVisibility",
                    "sqs:DeleteMessage",
                    "sqs:GetQueueAttributes",
                    "sqs:GetQueueUrl",
                    "sqs:ReceiveMessage",
                ],
                "Resource": str(QUEUE),
            }
        ]

    def test_objects_are_those_under_the_prefix(self) -> None:
        policy = role_policy("sensor", Resources(bucket="landing", prefix="in/", partition="aws-cn"))
        assert [statement["Resource"] for statement in policy["Statement"]] == [
            "arn:aws-cn:s3:::landing",
            "arn:aws-cn:s3:::landing/in/*",
        ]

    def test_the_policy_lets_its_role_through_and_nobody_to_another_queue(self) -> None:
        policy = role_policy("trigger", Resources(queue=QUEUE))
        request = Request(action="sqs:ReceiveMessage", resource=str(QUEUE), principal="role", context={})
        other = Request(action="sqs:ReceiveMessage", resource=f"{QUEUE}2", principal="role", context={})
        assert evaluate(policy, request).allowed
        assert not evaluate(policy, other).allowed

    @pytest.mark.parametrize(
        ("purpose", "missing"),
        [
            ("dispatch", "queue"),
            ("sensor", "bucket"),
            ("retry", "dead_letter_queue or airflow_role"),
            ("fly", "purpose"),
        ],
    )
    def test_what_is_missing_is_named(self, purpose: str, missing: str) -> None:
        with pytest.raises(ConfigurationError, match=missing):
            role_policy(purpose, Resources())

    def test_of_several_things_that_a_purpose_can_do_with_one_is_enough(self) -> None:
        (statement,) = role_policy("retry", Resources(airflow_role=AIRFLOW_ROLE))["Statement"]
        assert statement["Action"] == ["airflow:InvokeRestApi"]
        assert statement["Resource"] == str(AIRFLOW_ROLE)

    @pytest.mark.parametrize(
        ("inventory", "objects"),
        [
            ("s3://reports/p/landing/daily/2026-05-04T01-00Z/manifest.json", "reports/p/landing/daily/*"),
            ("s3://reports/manifest.json", "reports/*"),
            ("s3://reports/p/landing/", "reports/p/landing/*"),
            ("s3://reports", "reports/*"),
        ],
    )
    def test_an_inventory_is_read_and_nothing_is_listed(self, inventory: str, objects: str) -> None:
        policy = role_policy("reconcile", Resources(bucket="landing", inventory=inventory))
        assert [(one["Action"], one["Resource"]) for one in policy["Statement"]] == [
            (["s3:GetBucketVersioning"], "arn:aws:s3:::landing"),
            (["s3:GetObject"], f"arn:aws:s3:::{objects}"),
        ]

    def test_a_bucket_without_an_inventory_is_listed(self) -> None:
        policy = role_policy("reconcile", Resources(bucket="landing"))
        assert [one["Action"] for one in policy["Statement"]][1] == ["s3:ListBucket", "s3:ListBucketVersions"]

    def test_manifests_are_those_of_their_names_under_the_prefix(self) -> None:
        what = Resources(queue=QUEUE, bucket="landing", prefix="in/", manifests=("m.json",))
        assert role_policy("dispatch", what)["Statement"][-1] == {
            "Sid": "ManifestObjects",
            "Effect": "Allow",
            "Action": ["s3:GetObject"],
            "Resource": "arn:aws:s3:::landing/in/*m.json",
        }
        two = role_policy("dispatch", replace(what, manifests=("m.json", "_LIST")))["Statement"][-1]
        assert two["Resource"] == ["arn:aws:s3:::landing/in/*m.json", "arn:aws:s3:::landing/in/*_LIST"]

    def test_a_policy_is_json(self) -> None:
        assert json.loads(json.dumps(role_policy("configure", self.ALL)))["Version"] == "2012-10-17"


class TestLedgers:
    TABLE = f"arn:aws:dynamodb:eu-west-1:{OTHER}:table/ledger"

    def test_whoever_keeps_it_reads_and_writes_its_table(self) -> None:
        what = Resources(queue=QUEUE, ledger="dynamodb:ledger")
        (_, statement) = role_policy("dispatch", what)["Statement"]
        assert statement["Resource"] == self.TABLE
        assert statement["Action"] == ["dynamodb:BatchGetItem", "dynamodb:PutItem"]

    def test_whoever_explains_by_it_reads_its_table_and_its_index(self) -> None:
        what = Resources(bucket="landing", ledger="dynamodb:ledger", region="cn-north-1", account=OTHER)
        found = {one["Resource"]: one["Action"] for one in role_policy("explain", what)["Statement"]}
        table = f"arn:aws-cn:dynamodb:cn-north-1:{OTHER}:table/ledger"
        assert found[table] == ["dynamodb:BatchGetItem"]
        assert found[f"{table}/index/subject-index"] == ["dynamodb:Query"]

    def test_its_own_region_and_account_go_before_those_of_the_queue(self) -> None:
        what = Resources(queue=QUEUE, ledger="dynamodb:ledger", region="eu-north-1", account=OWNER)
        found = role_policy("dispatch", what)["Statement"][-1]["Resource"]
        assert found == f"arn:aws:dynamodb:eu-north-1:{OWNER}:table/ledger"

    @pytest.mark.parametrize("ledger", [None, "sql:ledger_db", "postgresql://me:secret@host/db"])
    @pytest.mark.parametrize("purpose", ["dispatch", "reconcile", "explain"])
    def test_one_in_a_database_asks_nothing_of_aws(self, purpose: str, ledger: str | None) -> None:
        what = Resources(queue=QUEUE, bucket="landing", ledger=ledger)
        assert "dynamodb" not in json.dumps(role_policy(purpose, what))

    @pytest.mark.parametrize(
        ("given", "named"),
        [
            ({"ledger": "dynamodb:ledger"}, "a region and an account"),
            ({"ledger": "dynamodb:ledger", "region": "eu-west-1"}, "a region and an account"),
            ({"ledger": "dynamodb:ledger", "region": "europe", "account": OWNER}, "region: 'europe'"),
            ({"ledger": "dynamodb:ledger", "region": "eu-west-1", "account": "1"}, "account: '1'"),
            ({"ledger": f"dynamodb:{TABLE}", "region": "eu-west-1", "account": OWNER}, "no table's name"),
            ({"ledger": "ledger"}, "ledger='ledger'"),
        ],
    )
    def test_a_table_that_cannot_be_named_is_refused(self, given: dict[str, Any], named: str) -> None:
        with pytest.raises(ConfigurationError, match=named):
            role_policy("reconcile", Resources(bucket="landing", **given))


@pytest.mark.parametrize(
    ("purpose", "given", "named"),
    [
        (
            "trigger",
            {"ledger": "sql:ledger_db"},
            "ledger: it is for dispatch, reconcile, explain, not",
        ),
        ("sensor", {"inventory": "s3://reports"}, "inventory: it is for reconcile"),
        ("watch", {"manifests": ("m.json",)}, "manifests: it is for dispatch"),
        ("watch", {"enrich": ("tags",)}, "enrich: it is for dispatch"),
        ("redrive", {"audit": "s3://audits"}, "audit: it is for dispatch, watch"),
        ("dispatch", {"manifests": ("m.json",), "bucket": None}, "manifests: a policy for it needs bucket"),
        ("dispatch", {"enrich": ("tags",), "bucket": None}, "enrich: a policy for it needs bucket"),
        ("dispatch", {"manifests": ("in/m.json",)}, "manifests: 'in/m.json' is not the name"),
        ("dispatch", {"manifests": ("",)}, "manifests: '' is not the name"),
        ("reconcile", {"inventory": "reports/daily"}, "inventory: 'reports/daily': give s3://"),
        ("reconcile", {"inventory": "s3:///daily"}, "inventory: ''"),
    ],
)
def test_what_a_purpose_has_no_use_for_and_what_cannot_be_read_is_named(
    purpose: str, given: dict[str, Any], named: str
) -> None:
    what: dict[str, Any] = {"queue": QUEUE, "dead_letter_queue": QUEUE, "bucket": "landing", **given}
    with pytest.raises(ConfigurationError, match=named):
        role_policy(purpose, Resources(**what))


def test_an_asset_s_watcher_may_also_send_to_its_queue() -> None:
    policy = role_policy("watch", Resources(queue=QUEUE, queue_key=QUEUE))
    assert "sqs:SendMessage" in policy["Statement"][0]["Action"]
    assert policy["Statement"][1]["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]

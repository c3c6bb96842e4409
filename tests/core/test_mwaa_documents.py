"""The files of a bundle for Amazon MWAA, as values."""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events.arns import Arn
from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.mwaa.documents import OPTIONS, PLUGINS, documents, plugins_zip, requirements
from airflow_s3events.mwaa.images import IMAGES, Image, image_of
from airflow_s3events.mwaa.package import Package, Wheel
from airflow_s3events.policies import Request, Resources, Verdict, evaluate

QUEUE = Arn.parse("arn:aws:sqs:eu-west-1:111122223333:landing-events", setting="queue")
DLQ = Arn.parse("arn:aws:sqs:eu-west-1:111122223333:landing-dlq", setting="dead_letter_queue")
KEY = Arn.parse("arn:aws:kms:eu-west-1:111122223333:key/a", setting="queue_key")
WHEEL = Wheel(file_name="airflow_provider_s3events-1.2.3-py3-none-any.whl", content=b"a wheel")
FROM_WHEEL = Package(version="1.2.3", wheel=WHEEL)
FROM_INDEX = Package(version="1.2.3")
NEWEST = IMAGES[-1]
#: What MWAA's image takes for a line with constraints; where one matches, its own are not added
#: (``python/mwaa/utils/user_requirements.py``).
NAMES_CONSTRAINTS = re.compile(r"-c |--constraint ")


def bundle(package: Package = FROM_WHEEL, **resources: Any) -> dict[str, bytes]:
    return documents(package, NEWEST, Resources(**{"queue": QUEUE, "dead_letter_queue": DLQ, **resources}))


def policy(**resources: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(bundle(**resources)["execution-role-policy.json"])
    return document


def may(document: dict[str, Any], action: str, resource: str) -> bool:
    role = "arn:aws:iam::111122223333:role/mwaa"
    # A role's policy names no principal: whoever has the role.
    statements = [{**statement, "Principal": "*"} for statement in document["Statement"]]
    request = Request(action=action, resource=resource, principal=role, context={})
    return evaluate({"Statement": statements}, request).verdict is Verdict.ALLOWED


def test_a_wheel_is_installed_from_the_plugins_folder_without_an_index_and_by_an_exact_pin() -> None:
    lines = requirements(FROM_WHEEL, NEWEST).splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "--no-index",
        f"--find-links {PLUGINS}",
        "airflow-provider-s3events==1.2.3",
    ]


def test_without_a_wheel_the_exact_pin_is_all_that_is_asked_of_the_index() -> None:
    lines = requirements(FROM_INDEX, NEWEST).splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["airflow-provider-s3events==1.2.3"]


@given(st.sampled_from(IMAGES), st.booleans(), st.from_regex(r"\d+\.\d+\.\d+(rc\d|\.dev\d)?", fullmatch=True))
def test_no_line_keeps_mwaa_from_adding_the_constraints_of_its_image(
    image: Image, has_wheel: bool, version: str
) -> None:
    package = Package(version=version, wheel=WHEEL if has_wheel else None)
    assert not any(map(NAMES_CONSTRAINTS.search, requirements(package, image).splitlines()))


def test_plugins_zip_holds_the_wheel_alone_under_its_own_name() -> None:
    archive = zipfile.ZipFile(io.BytesIO(bundle()["plugins.zip"]))
    assert archive.namelist() == [WHEEL.file_name]
    assert archive.read(WHEEL.file_name) == WHEEL.content


def test_the_same_wheel_gives_the_same_plugins_zip() -> None:
    assert plugins_zip(WHEEL) == plugins_zip(WHEEL)


def test_a_bundle_without_a_wheel_has_no_plugins_zip_and_does_not_speak_of_one() -> None:
    files = bundle(FROM_INDEX)
    assert "plugins.zip" not in files
    assert b"plugins" not in files["README.md"]


def test_the_execution_role_may_do_with_the_queues_what_a_dispatcher_does_and_no_more() -> None:
    document = policy()
    for action in ("ReceiveMessage", "ChangeMessageVisibility", "DeleteMessage", "GetQueueUrl"):
        assert may(document, f"sqs:{action}", str(QUEUE))
    assert may(document, "sqs:SendMessage", str(DLQ))
    assert not may(document, "sqs:SendMessage", str(QUEUE))
    assert not may(document, "sqs:ReceiveMessage", str(DLQ))


def test_a_key_of_the_customer_may_be_used_and_no_other() -> None:
    assert may(policy(queue_key=KEY), "kms:Decrypt", str(KEY))
    assert "kms:" not in json.dumps(policy())


def test_a_bucket_adds_what_tasks_need_that_wait_for_its_objects() -> None:
    document = policy(bucket="landing", prefix="in/", queue_key=KEY)
    assert may(document, "s3:GetObject", "arn:aws:s3:::landing/in/a.csv")
    assert not may(document, "s3:GetObject", "arn:aws:s3:::landing/out/a.csv")
    assert may(document, "s3:ListBucket", "arn:aws:s3:::landing")
    sids = [statement["Sid"] for statement in document["Statement"]]
    assert len(sids) == len(set(sids)) == 5


def test_a_queue_is_needed() -> None:
    with pytest.raises(ConfigurationError, match="queue"):
        bundle(queue=None)


def test_options_are_in_the_form_that_update_environment_takes() -> None:
    options = json.loads(bundle()["configuration.json"])
    assert set(options) == set(OPTIONS)
    assert all(isinstance(value, str) and re.fullmatch(r"\w+\.\w+", name) for name, value in options.items())


def test_the_dag_file_reads_the_queue() -> None:
    (call,) = (
        node
        for node in ast.walk(ast.parse(bundle()["dags/s3events_dispatcher.py"]))
        if isinstance(node, ast.Call)
    )
    given_ = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    assert given_["sqs_queue"] == str(QUEUE)


def test_the_readme_names_every_file_and_option_and_nothing_is_left_to_fill_in() -> None:
    files = bundle()
    text = files["README.md"].decode()
    assert [option for option in OPTIONS if option not in text] == []
    assert [name for name in files if name != "README.md" and name not in text] == []
    assert not re.search(r"[{}]", text)


@pytest.mark.parametrize(
    ("asked", "airflow"), [("3.3", "3.3.1"), ("2.10", "2.10.3"), ("2.10.1", "2.10.1"), ("2.11", "2.11.2")]
)
def test_a_line_means_its_newest_image(asked: str, airflow: str) -> None:
    assert image_of(asked).airflow == airflow


@pytest.mark.parametrize("asked", ["3.1", "3.3.2", "3", "2.1", "", "newest"])
def test_an_airflow_that_mwaa_does_not_offer_is_refused_with_those_that_it_does(asked: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--airflow.*3\.0\.6"):
        image_of(asked)


def test_what_an_image_is_too_old_for_is_said() -> None:
    package = Package(version="1.0", requires=("apache-airflow>=3.0", "aiobotocore>=2.14"))
    assert package.unmet(image_of("3.0")) == []
    assert package.unmet(image_of("2.11")) == ["apache-airflow>=3.0, and the image has 2.11.2"]


def test_a_package_that_no_image_is_known_to_hold_is_said() -> None:
    (reason,) = Package(version="1.0", requires=("rich>=13",)).unmet(NEWEST)
    assert reason.startswith("rich>=13")


def test_what_only_an_extra_or_another_python_wants_is_not_asked_of_an_image() -> None:
    requires = ('rich; extra == "demo"', 'tomli; python_version < "3.11"')
    assert Package(version="1.0", requires=requires).unmet(NEWEST) == []


def test_a_python_that_the_image_has_not_is_said() -> None:
    (reason,) = Package(version="1.0", requires_python=">=3.13").unmet(NEWEST)
    assert "3.13" in reason

"""What each kind of filter matches, and what it refuses."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events import filters as f
from airflow_s3events.exceptions import ConfigurationError, RouteError
from airflow_s3events.filters import EventFilter
from airflow_s3events.routing import Route, Routes
from tests.core.filter_strategies import glob_patterns, make_event


def _keys(wanted: EventFilter, *keys: str) -> list[str]:
    return [key for key in keys if wanted(make_event(key))]


def _refusal(make: Callable[[], Any]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        make()
    return str(caught.value)


class TestEventType:
    @pytest.mark.parametrize(
        ("pattern", "event_type", "wanted"),
        [
            ("ObjectCreated:Put", "ObjectCreated:Put", True),
            ("s3:ObjectCreated:Put", "ObjectCreated:Put", True),
            ("ObjectCreated:Put", "ObjectCreated:Post", False),
            ("ObjectCreated:*", "ObjectCreated:Copy", True),
            ("ObjectCreated:*", "ObjectCreatedTwice:Copy", False),
            ("ObjectCreated:*", "ObjectRemoved:Delete", False),
            ("ObjectCreated", "ObjectCreated:Copy", True),
            ("ObjectRemoved:*", "LifecycleExpiration:Delete", False),
            ("LifecycleTransition", "LifecycleTransition", True),
            ("IntelligentTiering", "IntelligentTiering:TransitionAccess", True),
            ("ObjectAccessed:*", "ObjectAccessed:Get", True),
            ("Object Retention Updated", "Object Retention Updated", True),
        ],
    )
    def test_a_type_matches_itself_and_a_family_its_members(
        self, pattern: str, event_type: str, wanted: bool
    ) -> None:
        assert f.event_type(pattern)(make_event(event_type=event_type)) is wanted

    @pytest.mark.parametrize(
        ("pattern", "named"),
        [
            ("*", "not of the form"),
            ("s3:*", "not of the form"),
            ("Object*:Put", "not of the form"),
            ("ObjectCreated:", "not of the form"),
            ("Object Created", "EventBridge's name"),
            ("objectcreated:Put", "S3 writes 'ObjectCreated'"),
            ("ObjectCreated:put", "S3 writes 'Put'"),
        ],
    )
    def test_a_name_that_would_match_nothing_is_refused(self, pattern: str, named: str) -> None:
        assert named in _refusal(lambda: f.event_type(pattern))


class TestBucketPrefixSuffix:
    def test_a_bucket_is_matched_by_its_whole_name(self) -> None:
        assert f.bucket("inbox")(make_event(bucket="inbox"))
        assert not f.bucket("inbox")(make_event(bucket="inbox-2"))

    @pytest.mark.parametrize("name", ["s3://inbox", "arn:aws:s3:::inbox", "inbox-*", "inbox/landing"])
    def test_what_is_no_bare_name_is_refused(self, name: str) -> None:
        assert "not a bucket's name" in _refusal(lambda: f.bucket(name))

    def test_prefix_and_suffix_look_at_the_ends_of_the_key(self) -> None:
        assert _keys(f.prefix("in/"), "in/a", "in", "xin/a", "IN/a") == ["in/a"]
        assert _keys(f.suffix(".csv"), "a.csv", "a.csv.gz", "a.CSV", ".csv") == ["a.csv", ".csv"]

    def test_an_empty_prefix_or_suffix_is_everything(self) -> None:
        assert f.prefix("") == f.suffix("") == f.everything

    def test_several_texts_mean_any_of_them(self) -> None:
        assert f.prefix("a", "b") == f.prefix("a") | f.prefix("b")


def _like(pattern: str, key: str) -> bool:
    """Say the same as ``glob`` by trying everything, one character at a time."""
    if pattern in ("", "**"):
        return pattern == "**" or key == ""
    if pattern.startswith("**/"):
        return _like(pattern[3:], key) or ("/" in key and _like(pattern, key.split("/", 1)[1]))
    if pattern[0] == "*":
        return _like(pattern[1:], key) or (key[:1] not in ("", "/") and _like(pattern, key[1:]))
    classes = {"[ab]": "ab", "[!a]": "b.\n", "[.-a]": ".a", "?": "ab.\n"}
    head = next((name for name in classes if pattern.startswith(name)), pattern[0])
    fits = key[:1] != "" and key[0] in classes.get(head, head)
    return fits and _like(pattern[len(head) :], key[1:])


class TestGlob:
    @given(glob_patterns, st.text("ab/.\n", max_size=10))
    def test_agrees_with_trying_everything(self, pattern: str, key: str) -> None:
        assert f.glob(pattern)(make_event(key)) is _like(pattern, key)

    @pytest.mark.parametrize(
        ("pattern", "matching", "other"),
        [
            ("in/*.csv", ["in/a.csv", "in/.csv"], ["in/b/a.csv", "in/a.csv.gz", "xin/a.csv", "in/a.CSV"]),
            ("in/*", ["in/a", "in/"], ["in/a/b", "in"]),
            ("in/**", ["in/a", "in/", "in/a/b", "in/\n"], ["in", "xin/a"]),
            ("in/**/*.csv", ["in/a.csv", "in/b/a.csv", "in/b/c/a.csv"], ["a.csv", "in.csv"]),
            ("**/a", ["a", "b/a", "b/c/a", "/a"], ["ba", "a/b"]),
            ("**/a/**", ["a/", "b/a/c"], ["a", "b/ca/d"]),
            ("**", ["a", "/", "a/b"], []),
            ("**/b/**/*a*b", ["b/ab", "x/b/y/bab", "b/b/xaxb"], ["b/a/b", "b"]),
            ("year=????/*", ["year=2026/a"], ["year=26/a", "year=2/26/a"]),
            ("[a-c]?[!x-z]", ["b.w", "c--"], ["d.w", "b/w", "b.x", "ab/"]),
            ("[]]", ["]"], ["["]),
            ("[!]]", ["["], ["]", "/"]),
            ("[a^-]", ["a", "^", "-"], ["b"]),
            ("[[]*]", ["[x]"], ["x"]),
            ("[*]", ["*"], ["a"]),
            (r"a\*", [r"a\b"], ["a*"]),
            ("a.b+(c)|{d}", ["a.b+(c)|{d}"], ["axb+(c)|{d}"]),
            ("[+-9]", ["0", "."], ["/"]),
            ("a//b", ["a//b"], ["a/b"]),
            ("a/", ["a/"], ["a"]),
        ],
    )
    def test_examples(self, pattern: str, matching: list[str], other: list[str]) -> None:
        assert _keys(f.glob(pattern), *matching, *other) == matching

    @pytest.mark.parametrize(
        ("pattern", "named"),
        [
            ("a**", "** must stand alone"),
            ("in/**.csv", "** must stand alone"),
            ("***", "** must stand alone"),
            ("a[b", "[ is not closed or empty"),
            ("a[]", "[ is not closed or empty"),
            ("a[!]", "[ is not closed or empty"),
            ("[a/b]", "[ is not closed or empty"),
            ("[z-a]", "bad character range"),
        ],
    )
    def test_a_bad_pattern_is_refused_and_shown(self, pattern: str, named: str) -> None:
        text = _refusal(lambda: f.glob(pattern))
        assert text.startswith("glob: ")
        assert named in text
        assert repr(pattern) in text

    @pytest.mark.parametrize("key", ["a" * 1024, "a/" * 512, "ab/" * 341, "/" * 1024])
    @pytest.mark.parametrize("pattern", ["*a" * 300 + "b", "**/*a/" * 100 + "b", "**/" + "a*/" * 150 + "b"])
    def test_a_hostile_key_does_not_hang_it(self, pattern: str, key: str) -> None:
        assert not f.glob(pattern)(make_event(key))

    def test_a_set_operation_in_brackets_is_only_characters(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert f.glob("[[a&&b||c~~!--e]")(make_event("["))


class TestRegex:
    def test_is_found_anywhere_and_anchored_on_request(self) -> None:
        assert _keys(f.regex(r"\.csv"), "a.csv", "a.csv.gz", "acsv") == ["a.csv", "a.csv.gz"]
        assert _keys(f.regex(r"\Ain/\d+\Z"), "in/12", "in/1x", "xin/1") == ["in/12"]

    @pytest.mark.parametrize(
        "pattern",
        ["(", "a{2,1}", "a{99999999999999999999}", "(?P<x>a)(?P<x>b)", "(" * 500, "[[a]", "[a||b]", "[a--b]"],
    )
    def test_a_bad_pattern_is_refused_at_once(self, pattern: str) -> None:
        assert _refusal(lambda: f.regex(pattern)).startswith("regex: ")


class TestSize:
    @pytest.mark.parametrize(
        ("bounds", "matching"),
        [
            ({"min_bytes": 5}, [5, 6, 7, 10**13]),
            ({"max_bytes": 5}, [0, 5]),
            ({"min_bytes": 5, "max_bytes": 6}, [5, 6]),
            ({"min_bytes": 0}, [0, 5, 6, 7, 10**13]),
        ],
    )
    def test_bounds_are_included_and_no_size_does_not_match(
        self, bounds: dict[str, int], matching: list[int]
    ) -> None:
        sizes = [0, 5, 6, 7, 10**13, None]
        assert [size for size in sizes if f.size(**bounds)(make_event(size=size))] == matching

    def test_no_size_matches_the_negation(self) -> None:
        assert (~f.size(max_bytes=5))(make_event(size=None))

    @pytest.mark.parametrize(
        ("bounds", "named"),
        [
            ({}, "bounds nothing"),
            ({"min_bytes": 2, "max_bytes": 1}, "bounds nothing"),
            ({"min_bytes": -1}, "min_bytes=-1"),
            ({"max_bytes": True}, "max_bytes=True"),
            ({"max_bytes": 1.5}, "max_bytes=1.5"),
            ({"max_bytes": "5"}, "max_bytes='5'"),
        ],
    )
    def test_bad_bounds_are_refused_by_name(self, bounds: dict[str, Any], named: str) -> None:
        assert named in _refusal(lambda: f.size(**bounds))


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write a module of the user's own; return its name, new for each test."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(source: str) -> str:
        name = f"user_module_{tmp_path.name}"
        (tmp_path / f"{name}.py").write_text(source)
        return name

    return write


class TestPredicate:
    def test_is_imported_on_first_use_and_not_before(self, user_module: Callable[[str], str]) -> None:
        module = user_module("class Wanted:\n    small = staticmethod(lambda event: event.size < 5)\n")
        wanted = f.predicate(f"{module}:Wanted.small")
        EventFilter.deserialize(wanted.serialize())
        assert module not in sys.modules
        assert [wanted(make_event(size=4)), wanted(make_event(size=5))] == [True, False]
        assert module in sys.modules

    @pytest.mark.parametrize(
        ("source", "reason"),
        [
            ("def wanted(event): raise KeyError('colour')", "raised KeyError: 'colour'"),
            ("def wanted(event): return 1", "returned int, not bool"),
            ("def wanted(event): pass", "returned NoneType, not bool"),
            ("wanted = 3", "raised TypeError: "),
            ("raise RuntimeError('broken module')", "raised RuntimeError: broken module"),
            ("", "raised AttributeError: "),
        ],
    )
    def test_one_that_cannot_answer_is_the_fault_of_its_route(
        self, user_module: Callable[[str], str], source: str, reason: str
    ) -> None:
        wanted = f.predicate(f"{user_module(source)}:wanted")
        with pytest.raises(RouteError) as caught:
            wanted(make_event())
        assert reason in str(caught.value)
        assert wanted.serialize()["predicate"] in str(caught.value)

    def test_an_import_that_failed_is_tried_again(self) -> None:
        wanted = f.predicate("package_that_is_not_there:wanted")
        for _ in range(2):
            with pytest.raises(RouteError, match="ModuleNotFoundError"):
                wanted(make_event())

    def test_an_interrupt_passes_through(self, user_module: Callable[[str], str]) -> None:
        wanted = f.predicate(f"{user_module('def wanted(event): raise KeyboardInterrupt')}:wanted")
        with pytest.raises(KeyboardInterrupt):
            wanted(make_event())

    def test_is_not_asked_when_cheaper_tests_have_settled_it(self) -> None:
        fails = f.predicate("package_that_is_not_there:wanted")
        event = make_event("landing/a.csv")
        assert not (fails & f.suffix(".tsv"))(event)
        assert not (fails & f.regex("x") & f.prefix("landing/"))(event)
        assert (fails | f.glob("landing/*"))(event)
        assert (fails | (f.glob("landing/*") & f.bucket("inbox") & f.size(min_bytes=1)) | f.bucket("b"))(
            event
        )
        assert not (~fails & f.bucket("b"))(event)

    @pytest.mark.parametrize(
        "path", ["wanted", "a.b.wanted", "a:b:c", "a:", ":b", "a b:c", "a:<lambda>", "../a:b", ".a:b"]
    )
    def test_what_is_no_import_path_is_refused(self, path: str) -> None:
        assert "not an import path 'package.module:function'" in _refusal(lambda: f.predicate(path))

    def test_a_function_is_refused_in_favour_of_its_path(self) -> None:
        assert "give the function's import path" in _refusal(lambda: f.predicate(len))  # type: ignore[arg-type]

    def test_a_trial_names_the_function_and_the_setting(self, user_module: Callable[[str], str]) -> None:
        good = f.predicate(f"{user_module('def wanted(event): return True')}:wanted")
        good.try_predicates("when")
        wanted = f.suffix(".csv") & (good | ~f.predicate("package_that_is_not_there:wanted"))
        with pytest.raises(ConfigurationError, match=r"when: predicate 'package_that_is_not_there:wanted'"):
            wanted.try_predicates("when")

    def test_a_trial_of_routes_names_the_route(self) -> None:
        routes = Routes([Route(dag_id="a", name="mine", when=f.predicate("json:no_such_function"))])
        with pytest.raises(ConfigurationError, match=r"routes: 'mine': predicate 'json:no_such_function'"):
            routes.try_predicates()

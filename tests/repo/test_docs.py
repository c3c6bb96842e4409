"""Every block of README.md and docs/ is run, read by Airflow, or compared with what is run elsewhere."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_s3events.cli import main
from airflow_s3events.routing_table import routes_of_toml
from tests.lines import dag_bag
from tests.repo.block_fates import NOT_RUN, RUN, fate, is_dag_file, report
from tests.repo.module_map import CONTRIBUTING, MODULES, written
from tests.repo.pages import PAGES, README, ROOT, Block, blocks

LINK = re.compile(r"\]\((?!https?:)(?P<target>[^)#\s]+)(?:#[^)]*)?\)")
#: A file or folder of the repository in a page's text.
PATH = re.compile(r"(?<![\w./-])(?:airflow_s3events|docs|example_dags|tests|\.ci)/[\w./-]*\w")
#: Files that pages have contributors write.
TO_BE_WRITTEN = {"tests/payloads/proxy.json", "tests/test_orders.py"}
COMMAND = re.compile(
    r"\bs3events (?P<command>dead-letters (?:list|show|redrive|park|purge)|[a-z-]+)(?P<rest>[^\n|&;]*)"
)


def pages_with(language: str) -> list[Any]:
    found = {page: [b for b in blocks(page) if b.language == language] for page in PAGES}
    return [pytest.param(b, id=str(page.relative_to(ROOT))) for page, b in found.items() if b]


@pytest.mark.parametrize("page", pages_with("python"))
def test_python_blocks_of_a_page_run_one_after_the_other(page: list[Block]) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    for block in page:
        if fate(block) == "python":
            # Blank lines before it, so that an error names the line of the page.
            exec(compile("\n" * block.line + block.text, str(block.page), "exec"), names)  # noqa: S102


@pytest.mark.parametrize("page", pages_with("python"))
def test_airflow_reads_the_dag_files_of_a_page(page: list[Block], tmp_path: Path) -> None:
    for number, block in enumerate(block for block in page if is_dag_file(block)):
        (tmp_path / f"block_{number}.py").write_text(block.text)
        bag = dag_bag(tmp_path / f"block_{number}.py", safe_mode=False)
        assert bag.import_errors == {}, str(block)
        assert bag.dags != {}, str(block)


def test_a_filter_reads_as_its_page_shows() -> None:
    page = list(blocks(ROOT / "docs" / "how-to" / "filter.md"))
    (shown,) = [block for block in page if block.language == "text"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(page[page.index(shown) - 1].text, {})  # noqa: S102
    assert printed.getvalue() == shown.text


def test_the_tests_of_the_page_on_testing_pass(tmp_path: Path) -> None:
    page = ROOT / "docs" / "how-to" / "test-your-dags.md"
    files = {block.file: block.text for block in blocks(page) if block.file}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:anyio", "tests"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    written = sum(text.count("\ndef test_") for text in files.values())
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{written} passed" in done.stdout


def test_json_blocks_are_json() -> None:
    for block in blocks(*PAGES):
        if block.language == "json":
            json.loads(block.text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_is_run_or_has_its_reason(page: Path) -> None:
    assert {fate(block) for block in blocks(page)} <= set(RUN) | set(NOT_RUN)


def test_what_is_not_run_is_told_with_its_reason_and_its_place() -> None:
    told = "\n".join(report(blocks(*PAGES)))
    assert all(f"{block}" in told for block in blocks(*PAGES) if fate(block) in NOT_RUN)
    assert sum(int(line.split()[0]) for line in told.splitlines()) == len(list(blocks(*PAGES)))


@pytest.mark.parametrize(
    "line",
    [
        line
        for b in blocks(*PAGES)
        if b.language == "sh" and fate(b) == "offline"
        for line in b.text.splitlines()
    ],
)
def test_commands_that_ask_nobody_run(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(line)[1:]) == 0
    assert capsys.readouterr().out != "" or any(tmp_path.iterdir())


@pytest.mark.parametrize("block", [b for b in blocks(*PAGES) if b.language == "toml"], ids=str)
def test_every_toml_block_is_a_routing_table(block: Block) -> None:
    assert len(routes_of_toml(block.text, name=str(block))) > 0


def commands_shown() -> list[Any]:
    shown = (match for b in blocks(*PAGES) if b.language == "sh" for match in COMMAND.finditer(b.text))
    return sorted({(match["command"], match["rest"]) for match in shown})


@pytest.mark.parametrize(("command", "rest"), commands_shown())
def test_every_s3events_command_and_option_that_is_shown_exists(
    command: str, rest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    assert set(re.findall(r"--[a-z-]+", rest)) <= set(re.findall(r"--[a-z-]+", capsys.readouterr().out))


def test_shell_blocks_of_the_readme_are_the_two_commands_that_the_checks_run() -> None:
    if not (ROOT / ".ci" / "run").exists():
        pytest.skip("no checkout: .ci/run is not part of the sdist")
    script = (ROOT / ".ci" / "run").read_text()
    function = script[script.index("readme() {") : script.index("\n}\n", script.index("readme() {")) + 2]
    commands = [block.text for block in blocks(README) if block.language == "sh"]
    for number, command in enumerate(commands, 1):
        done = subprocess.run(
            ["bash", "-c", f"{function}\nreadme {number}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == command
    assert set(re.findall(r"readme (\d)", script)) == {"1", "2"}
    assert len(commands) == 2


def test_the_dag_of_the_readme_is_the_first_example() -> None:
    dags = [block.text for block in blocks(README) if block.language == "python"]
    assert len(dags) == 1
    assert dags[0] in (ROOT / "example_dags" / "dispatch.py").read_text()


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) < 200


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = [match["target"] for match in LINK.finditer(page.read_text())]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_is_reached_from_the_index() -> None:
    seen: set[Path] = set()
    ahead = [ROOT / "docs" / "index.md"]
    while ahead:
        page = ahead.pop().resolve()
        if page.is_dir():
            ahead += page.glob("*.md")
        elif page.suffix == ".md" and page not in seen:
            seen.add(page)
            ahead += [page.parent / match["target"] for match in LINK.finditer(page.read_text())]
    assert {page.resolve() for page in (ROOT / "docs").rglob("*.md")} <= seen


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_are_there(page: Path) -> None:
    if not (ROOT / ".ci").exists():
        pytest.skip("no checkout: .ci is not part of the sdist")
    named = PATH.findall(page.read_text())
    assert [name for name in named if not (ROOT / name).exists() and name not in TO_BE_WRITTEN] == []


@pytest.mark.parametrize("page", [CONTRIBUTING, MODULES], ids=lambda page: page.name)
def test_the_map_of_the_package_is_that_of_the_code(page: Path) -> None:
    """If not: ``python -m tests.repo.module_map --write``."""
    assert page.read_text() == written(page)

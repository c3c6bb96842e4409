"""What becomes of each fenced block of the pages: which are run, and why the others are not.

``python -m tests.repo.block_fates`` lists those that are not run, with the reason and their places.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from tests.repo.pages import PAGES, README, ROOT, Block, blocks

TUTORIAL = ROOT / "docs" / "tutorial.md"
#: Commands of ours that ask nobody: they are run by the tests.
OFFLINE = ("s3events iam ", "s3events mwaa-bundle ", "s3events schema")
#: Those that ask AWS and no Airflow: they are run against an emulator.
EMULATED = ("s3events check ", "s3events dead-letters ", "s3events tail --queue ")
#: Pages for those who change, measure or release the package.
FOR_CONTRIBUTORS = ("contributing.md", "releasing.md", "airflow_versions.md", "benchmarks")

RUN = {
    "python": "run, one block of a page after the other",
    "file": "its files are put into a folder, and pytest passes there",
    "user": "played on a whole Airflow by tests/repo/new_user.py",
    "readme": "run by .ci/run",
    "offline": "run",
    "emulated": "run against an emulator of AWS",
    "json": "read as JSON",
    "toml": "read as a routing table",
    "mermaid": "drawn when the site is built",
}
NOT_RUN = {
    "dag": "DAG files: Airflow reads them, and their DAGs are there; to run they need the AWS that they name",
    "aws": "commands that need an AWS account or a running Airflow: only their names and options are tested",
    "work": "commands of contributors: tests, figures, pins, releases; .ci/run has its own",
    "shown": "output, shown to be recognised",
}


def is_dag_file(block: Block) -> bool:
    """Return whether a Python block is a DAG file: read by Airflow, not executed."""
    return "s3_event_dispatcher(" in block.text or "@dag" in block.text


def is_made_of(block: Block, commands: tuple[str, ...]) -> bool:
    """Return whether each line of a shell block begins with one of these."""
    return all(line.startswith(commands) for line in block.text.splitlines())


def fate(block: Block) -> str:
    """Return a key of ``RUN`` or ``NOT_RUN``.

    Raises:
        ValueError: It is of a kind that nothing checks.
    """
    if block.language == "python":
        return _fate_of_python(block)
    if block.language == "sh":
        return _fate_of_shell(block)
    if block.language in RUN:
        return block.language
    if block.language in {"", "text"}:
        return "shown"
    raise ValueError(f"{block}: nothing checks a block of {block.language}")


def _fate_of_python(block: Block) -> str:
    if block.file:
        return "user" if block.page == TUTORIAL else "file"
    return "dag" if is_dag_file(block) else "python"


def _fate_of_shell(block: Block) -> str:
    if block.page in (README, TUTORIAL):
        return "readme" if block.page == README else "user"
    for key, commands in (("offline", OFFLINE), ("emulated", EMULATED)):
        if is_made_of(block, commands):
            return key
    return "work" if any(word in str(block) for word in FOR_CONTRIBUTORS) else "aws"


def report(found: Iterable[Block]) -> list[str]:
    """Return a line on how many are run, and one for each reason why others are not."""
    fates: dict[str, list[Block]] = defaultdict(list)
    for block in found:
        fates[fate(block)].append(block)
    run = sum(len(them) for key, them in fates.items() if key in RUN)
    lines = [f"{run} blocks of the pages are run, read as what they are, or drawn"]
    for key, reason in NOT_RUN.items():
        places = ", ".join(map(str, fates[key]))
        lines.append(f"{len(fates[key])} are not run. {reason[0].upper()}{reason[1:]}: {places}")
    return lines


if __name__ == "__main__":
    print("\n".join(report(blocks(*PAGES))))

"""The suite on every line of Airflow, each in an environment of its own.

    .venv/bin/pip install -c .ci/constraints/airflow-3.3.2.txt nox uv
    .venv/bin/nox -f .ci/noxfile.py -l                      # what there is
    .venv/bin/nox -f .ci/noxfile.py                         # core, contract and adapter tests on every line
    .venv/bin/nox -f .ci/noxfile.py -s "system(line='airflow-2.11.2')"
    .venv/bin/nox -f .ci/noxfile.py -s demo                 # objects in, runs out, on every line
    .venv/bin/nox -f .ci/noxfile.py -s mwaa                 # the bundle for MWAA, on each of its images
    .venv/bin/nox -f .ci/noxfile.py -s docs                 # the site, and the tests of the pages

Each uses the Python that nox runs on. The pins are for Python 3.10 to 3.12, those of Amazon MWAA for the one
of its image.
"""

from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv"
nox.options.sessions = ["tests"]

ROOT = Path(__file__).parent.parent
LINES = sorted(path.stem for path in (ROOT / ".ci" / "constraints").glob("*.txt"))
#: Object in, run out; kills of the task; what a target may do meanwhile; waiting for an object.
SYSTEM = (
    "test_object_in_run_out.py",
    "test_dispatcher.py",
    "test_recovery.py",
    "test_sensor.py",
    "test_faults.py",
)


def install(session: nox.Session, line: str) -> None:
    """Install the package with what its tests need, in the versions of one line."""
    session.chdir(ROOT)
    session.install("-c", f".ci/constraints/{line}.txt", "-e", ".[suite]")
    # With it, Airflow would compile itself anew in every process.
    session.env["PYTHONDONTWRITEBYTECODE"] = None


@nox.session
@nox.parametrize("line", LINES)
def tests(session: nox.Session, line: str) -> None:
    """Core, contract and adapter tests, or those that are named behind ``--``."""
    install(session, line)
    session.run(
        "pytest",
        "-q",
        *(
            session.posargs
            or ("tests/core", "tests/contract", "tests/adapters", "tests/repo/test_examples.py")
        ),
    )


@nox.session
@nox.parametrize("line", LINES)
def system(session: nox.Session, line: str) -> None:
    """A whole Airflow of the line, from object to run and through kills."""
    install(session, line)
    session.run("pytest", "-q", *(session.posargs or (f"tests/system/{name}" for name in SYSTEM)))


@nox.session
@nox.parametrize("line", LINES)
def demo(session: nox.Session, line: str) -> None:
    """The same DAG files on every line: ten objects, ten runs that succeed."""
    install(session, line)
    session.run("s3events", "demo", "--objects", "10")


@nox.session
def docs(session: nox.Session) -> None:
    """The site into site/, offline, warnings as errors, and the tests of the pages.

    With ``-- --external`` it asks for every link that leads elsewhere, too.
    """
    session.chdir(ROOT)
    session.install("-c", ".ci/constraints/airflow-3.3.2.txt", "-e", ".[test]")
    session.env.update(PYTHONDONTWRITEBYTECODE=None, NO_MKDOCS_2_WARNING="1")
    # Nobody is there: what would ask another host fails.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    session.run("mkdocs", "build", "--strict", "-f", ".ci/mkdocs/mkdocs.yml", env=nowhere)
    pages = (f"tests/repo/test_{name}.py" for name in ("docs", "site", "reference", "cli_page", "extending"))
    session.run("pytest", "-q", *pages, env={"no_proxy": "127.0.0.1,localhost", **nowhere})
    if "--external" in session.posargs:
        session.run("python", "-m", "tests.repo.external_links")


@nox.session
def mwaa(session: nox.Session) -> None:
    """The bundle for Amazon MWAA, installed offline into what each of its images holds, and read there."""
    install(session, "airflow-3.3.2")
    session.install("-c", ".ci/constraints/airflow-3.3.2.txt", "hatchling", "uv")
    session.run("python", "-m", "tests.benchmarks.mwaa_install", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Seeds 1 to 10 of 500 objects: five faults each, on an Airflow scaled out over Celery.

    Then two seeds of 200 each: for the dispatcher with the faults that need more of the machine (clocks that
    jump, a full disk for logs, triggers that move), for assets, for ``run_succeeded``, and with a ledger.
    What is played is in ``fault-series.jsonl``: stopped, it goes on where it was. Other seeds, sizes and
    targets: ``-- --seeds 1-50 --objects 2000 --target ledger``.
    """
    install(session, "airflow-3.3.2")
    session.install("-c", ".ci/constraints/airflow-3.3.2.txt", "-e", ".[scale]")
    series = ("python", "-m", "tests.system.faults.series", "--scale-out", "--short")
    if session.posargs:
        session.run(*series, *session.posargs)
        return
    session.run(*series, "--seeds", "1-10", "--objects", "500")
    few = ("--seeds", "1-2", "--objects", "200")
    kinds = "clock-scheduler,clock-triggerer,log-disk,triggerer-moves"
    session.run(*series, *few, "--faults", "4", "--parallel", "2", "--kinds", kinds)
    for target in ("assets", "run_succeeded", "ledger"):
        session.run(*series, *few, "--parallel", "2", "--target", target)


@nox.session
def soak(session: nox.Session) -> None:
    """An hour of objects that trickle in: whether memory grows, and clients are closed."""
    install(session, "airflow-3.3.2")
    session.run("python", "-m", "tests.benchmarks.soak", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Forty minutes each of what reads other people's text, and keep what reaches new code."""
    install(session, "airflow-3.3.2")
    session.install("-c", ".ci/constraints/airflow-3.3.2.txt", "-e", ".[fuzz]")
    session.run("python", "-m", "tests.fuzz", *(session.posargs or ("--seconds", "2400", "--keep")))

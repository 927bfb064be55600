"""Checks of the project: `nox` runs the default ones, `nox -l` lists them all."""

import nox

nox.options.sessions = ["lint", "types", "tests"]
CONSTRAINTS = ("-c", "constraints.txt")
PACKAGES = ("bench", "models", "sweeps", "reports")


@nox.session
def lint(session: nox.Session) -> None:
    session.install(*CONSTRAINTS, "ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    session.install(*CONSTRAINTS, "-e", ".[dev]")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    session.install(*CONSTRAINTS, "-e", ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python="3.10")
def minimum(session: nox.Session) -> None:
    """The default tests at the lowest versions, Python's too, that pyproject.toml admits."""
    project = nox.project.load_toml("pyproject.toml")["project"]
    lowest = [need.replace(">=", "==") for need in project["dependencies"]]
    session.install(*lowest, "-e", ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def benchmarks(session: nox.Session) -> None:
    session.install(*CONSTRAINTS, "-e", ".[test]")
    session.run("python", "-m", "pytest", "--benchmark-only", "tests/benchmarks", *session.posargs)


@nox.session
def report(session: nox.Session) -> None:
    """Draw Table 3 again from the MLflow store of this folder."""
    session.install(*CONSTRAINTS, "-e", ".")
    session.run("python", "-m", "reports", *(session.posargs or ["table3"]))

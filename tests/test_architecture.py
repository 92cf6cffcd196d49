"""The rules of ARCHITECTURE.md and CONTRIBUTING.md, where a machine can see them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import click
import pytest
import yaml

from aiconform import catalog
from aiconform.checks import all_checks
from aiconform.cli import COMMANDS, cli

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "aiconform"
MODULES = sorted(SOURCE.rglob("*.py"))
CHECK_MODULES = sorted(path for path in (SOURCE / "checks").glob("*.py") if not path.name.startswith("_"))
FORMS = sorted((ROOT.parent / "shared" / "checklists").glob("AIConformance-*.yaml"))
WORDS_IN_A_ROW = 9
MEDIAN_LINES, MAX_LINES, LINES_PER_PROBE = 150, 400, 24
P95_FUNCTION_LINES = 50


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_imports_go_down_only() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_check_is_a_module_named_after_its_requirement() -> None:
    asked = {item.id for release in catalog.releases() for item in catalog.requirements(release)}
    assert {path.stem for path in CHECK_MODULES} == set(all_checks()) <= asked


def test_check_modules_import_nothing_but_the_engine_and_what_stands_beside_them() -> None:
    for path in CHECK_MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert re.match(
                    r"(__future__|aiconform\.(engine|checks\._kit|catalog)\b|typing|collections)", node.module or ""
                )


@pytest.mark.parametrize("path", CHECK_MODULES, ids=lambda path: path.stem)
def test_a_check_module_is_little_more_than_its_questions(path: Path) -> None:
    assert lines(path) <= LINES_PER_PROBE * len(all_checks()[path.stem].probes) + LINES_PER_PROBE


@pytest.mark.parametrize("name", sorted(all_checks()))
def test_every_probe_says_what_would_make_it_fail(name: str) -> None:
    check = all_checks()[name]
    assert check.limits, "what does it not show?"
    positives = {probe.id for probe in check.probes if probe.kind == "positive"}
    ids = {probe.id for probe in check.probes}
    for probe in check.probes:
        assert probe.title
        assert probe.fails_if
        assert probe.timeout_s > 0
        assert probe.kind != "negative" or probe.control in positives
        assert probe.kind != "recovery" or probe.after in ids


def test_modules_stay_small() -> None:
    sizes = sorted(size for path in MODULES if (size := lines(path)) > 3)
    assert sizes[len(sizes) // 2] <= MEDIAN_LINES
    assert {path.name: lines(path) for path in MODULES if lines(path) > MAX_LINES} == {}


def test_functions_stay_small() -> None:
    sizes = sorted((node.end_lineno or 0) - node.lineno + 1 for path in MODULES for node in functions(path))
    assert sizes[int(len(sizes) * 0.95)] <= P95_FUNCTION_LINES


def test_nothing_dangerous_is_called() -> None:
    found = [f"{path.name}: {what}" for path in MODULES for what in dangerous(ast.parse(path.read_text()))]
    assert found == []


def dangerous(tree: ast.AST) -> list[str]:
    starters = {"run", "Popen", "call", "check_call", "check_output", "create_subprocess_shell"}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found += [name.name for name in node.names if name.name in ("pickle", "marshal", "shelve")]
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        is_plain = isinstance(node.func, ast.Name)
        if name in ("extractall", "system") or (is_plain and name in ("eval", "exec")):
            found.append(name)
        if name in starters and any(keyword.arg == "shell" for keyword in node.keywords):
            found.append(f"{name}(shell=)")
    return found


def test_what_is_dangerous_would_be_found() -> None:
    bad = "import pickle\neval('1')\nsubprocess.run('x', shell=True)\ntar.extractall()\nos.system('x')"
    assert len(dangerous(ast.parse(bad))) == 5


def test_every_command_has_help_and_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        assert command.help
        assert f"aiconform {name}" in readme
        options = [option for option in command.params if isinstance(option, click.Option)]
        assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize(
    "document", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/bundle.md"]
)
def test_links_and_paths_in_documents_lead_somewhere(document: str) -> None:
    path = ROOT / document
    text = path.read_text()
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target:
            assert (path.parent / target).exists(), target
    for named in re.findall(r"`((?:src/aiconform|tests|docs|bench|tools)/[\w./-]+)`", text):
        assert (ROOT / named).exists(), named


def test_paths_in_the_architecture_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = re.findall(r"`((?:cli|local|report|checks|engine|cluster|evidence|catalog)/[\w./]*)`", text)
    assert named
    for path in named:
        assert (SOURCE / path).exists() or (SOURCE / f"{path}.py").exists(), path


@pytest.mark.skipif(not FORMS, reason="the official forms are not beside the repository")
def test_the_words_of_the_official_forms_are_nowhere() -> None:
    official = [
        item["description"]
        for form in FORMS
        for items in yaml.safe_load(form.read_bytes())["spec"].values()
        for item in items
    ]
    runs = {run for text in official for run in in_a_row(text)}
    assert runs
    texts = [*MODULES, *SOURCE.rglob("*.j2"), *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    copied = {path.name: found for path in texts if (found := in_a_row(path.read_text()) & runs)}
    assert copied == {}


def in_a_row(text: str) -> set[str]:
    words = re.findall(r"[a-z0-9]+", text.lower())
    return {" ".join(words[n : n + WORDS_IN_A_ROW]) for n in range(len(words) - WORDS_IN_A_ROW + 1)}


def test_the_changelog_keeps_its_form() -> None:
    titles = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert titles[0] == "Unreleased"
    assert all(newer > older for newer, older in pairwise(titles[1:]))

"""Every command as a person meets it: exit code and both streams, whole."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from tests.support import snapshots
from tests.support.bundles import make_bundle
from tests.support.forgery import edit_document, reseal
from tests.support.pki import kubeconfig

from aiconform.cli import COMMANDS, cli, main
from aiconform.cli import exit as exits
from aiconform.errors import BundleError, InternalError, LocalClusterError, UnreachableError, UsageError
from aiconform.report import page_digest

Streams = pytest.CaptureFixture[str]
GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "94")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


def invoke(*args: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(args))
    assert isinstance(left.value.code, int)
    return left.value.code


def screen(capsys: Streams, *args: str) -> tuple[int, str, str]:
    code = invoke(*args)
    streams = capsys.readouterr()
    return code, streams.out, streams.err


def whole(capsys: Streams, tmp_path: Path, *args: str) -> str:
    code, out, err = screen(capsys, *args)
    text = f"$ aiconform {' '.join(args)}\nexit code {code}\n--- standard output\n{out}--- standard error\n{err}"
    text = re.sub(r"[0-9a-f]{64}", "<digest>", text.replace(str(tmp_path), "TMP"))
    return re.sub(r"\d+ records", "<n> records", text)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("help", ["--help"]),
        *((f"help-{command}", [command, "--help"]) for command in COMMANDS if command != "local"),
        ("version", ["--version"]),
        ("images", ["images"]),
        ("images-mirrored", ["images", "ai_inference", "--image-prefix", "registry.example:5000/mirror"]),
        ("error-image-role", ["images", "--image", "prob=ubuntu:22.04"]),
        ("catalog", ["catalog"]),
        ("catalog-136", ["catalog", "--release", "1.36"]),
        ("catalog-137", ["catalog", "--release", "1.37"]),
        ("catalog-one", ["catalog", "cluster_autoscaling"]),
        ("catalog-diff", ["catalog", "diff", "1.35", "1.37"]),
        ("help-catalog-diff", ["catalog", "diff", "--help"]),
        ("error-diff-release", ["catalog", "diff", "1.35", "1.12"]),
        ("error-command", ["verfy"]),
        ("error-requirement", ["run", "gang_schedulin"]),
        ("error-release", ["run", "--release", "1.12"]),
        ("error-other-release", ["run", "--release", "1.34", "gpu_sharing"]),
        ("error-local-and-context", ["run", "--local", "--context", "prod"]),
        ("error-image", ["run", "--image", "probe"]),
        ("error-output", ["run", "--output", "/proc/aiconform"]),
        ("error-no-kubeconfig", ["run", "--kubeconfig", "absent"]),
        ("error-no-bundle", ["verify", "absent"]),
        ("error-empty-bundle", ["verify", "."]),
        ("error-cleanup-run", ["cleanup", "--run", "production"]),
        ("error-cleanup-journal", ["cleanup", "--journal", "absent"]),
        ("error-format", ["report", ".", "--format", "pdf"]),
    ],
)
def test_whole_screen(name: str, args: list[str], capsys: Streams, tmp_path: Path) -> None:
    snapshots.same(name, whole(capsys, tmp_path, *args))


def test_output_that_is_in_use_is_refused_before_anything_starts(capsys: Streams, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("kept")
    code, _, err = screen(capsys, "run", "--output", "mine")
    assert code == 2
    assert "not empty" in err
    assert (tmp_path / "mine" / "file").read_text() == "kept"


def test_a_run_that_comes_to_nothing_leaves_no_directory(capsys: Streams, tmp_path: Path) -> None:
    code, _, _ = screen(capsys, "run", "--kubeconfig", "absent")
    assert code == 4
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("text", ["", "not yaml: [", "apiVersion: v1\nkind: Config\n", "\x00\xff", "- 1"])
def test_a_broken_kubeconfig_is_one_clear_error(text: str, capsys: Streams, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(text)
    code, out, err = screen(capsys, "run", "--kubeconfig", "config")
    assert (code, out) == (4, "")
    assert err.startswith("error: ")
    assert "hint: " in err
    assert "Traceback" not in err


def test_an_unreachable_cluster_is_one_clear_error(capsys: Streams, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "clusters: [{name: k, cluster: {server: 'http://127.0.0.1:9'}}]\n"
        "users: [{name: u, user: {token: t0ken}}]\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
    )
    code, out, err = screen(capsys, "run", "--kubeconfig", "config")
    assert (code, out) == (4, "")
    assert "error: " in err
    assert "http://127.0.0.1:9" in err
    assert "Traceback" not in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("form", ["html", "markdown", "json", "junit"])
def test_a_report_is_one_document_on_standard_output(form: str, capsys: Streams, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    code, out, err = screen(capsys, "report", str(bundle), "--format", form)
    assert (code, err) == (0, "")
    starts = {"html": "<!doctype html>", "markdown": "#", "json": "{", "junit": "<?xml"}
    assert out.lower().startswith(starts[form])
    assert screen(capsys, "report", f"{bundle}.tar.gz", "--format", form)[1] == out


def test_a_report_goes_to_the_file_named(capsys: Streams, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    assert screen(capsys, "report", str(bundle), "-o", "page.html") == (0, "", "")
    assert "SIMULATED" in (tmp_path / "page.html").read_text()


def test_a_report_that_cannot_be_written_is_a_usage_error(capsys: Streams, tmp_path: Path) -> None:
    code, _, err = screen(capsys, "report", str(make_bundle(tmp_path)), "-o", "no/such/page.html")
    assert code == 2
    assert "error: cannot write" in err


def test_verify_as_json_is_one_document(capsys: Streams, tmp_path: Path) -> None:
    code, out, _ = screen(capsys, "verify", str(make_bundle(tmp_path)), "--format", "json")
    found = json.loads(out)
    # made by hand: intact, but no check asks what its log holds
    assert found["intact"] is True
    assert found["result"] == "judged by other code"
    assert code == 3
    assert found["not_shown"]


def test_verify_as_json_says_what_cannot_be_read(capsys: Streams, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    (bundle / "manifest.json").unlink()
    code, out, err = screen(capsys, "verify", str(bundle), "--format", "json")
    found = json.loads(out)
    assert (code, found["result"]) == (1, "cannot be read")
    assert found["reason"] == f"{bundle} was never sealed: manifest.json is missing"
    assert found["hint"]
    assert err.startswith(f"error: {found['reason']}")


def test_verify_names_the_file_that_was_edited(capsys: Streams, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    blob = next((bundle / "blobs" / "sha256").iterdir())
    blob.write_bytes(blob.read_bytes() + b" ")
    code, out, err = screen(capsys, "verify", str(bundle))
    assert code == 1
    assert blob.name in out + err
    assert "DOES NOT HOLD" in out + err or err.startswith("error: ")


@pytest.mark.parametrize("command", ["verify", "report"])
def test_a_runs_directory_is_no_bundle_and_names_the_one_in_it(command: str, capsys: Streams, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "run")
    bundle.with_name("report.html").write_text("")
    told = (1, "", "error: run is a run's directory, not its bundle\n\nhint: name the bundle in it: run/bundle\n")
    assert screen(capsys, command, "run") == told
    shutil.rmtree(bundle)
    assert screen(capsys, command, "run")[2].endswith("hint: name the bundle in it: run/bundle.tar.gz\n")


@pytest.mark.parametrize("command", ["verify", "report"])
def test_a_directory_of_runs_names_the_newest_bundle(command: str, capsys: Streams, tmp_path: Path) -> None:
    old, new = make_bundle(tmp_path / "runs" / "b"), make_bundle(tmp_path / "runs" / "a")
    os.utime(old, (1, 1))
    told = (
        1,
        "",
        "error: runs is a directory of runs, not a bundle\n\nhint: the newest bundle in it is runs/a/bundle\n",
    )
    assert screen(capsys, command, "runs") == told
    assert new.is_dir()


@pytest.mark.parametrize("content", [b"# a page\n", b"<html>" * 512])
def test_a_file_that_is_no_archive_is_not_asked_for_again(content: bytes, capsys: Streams, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    code, _, err = screen(capsys, "verify", "file")
    assert (code, err.splitlines()[-1]) == (1, "hint: name a bundle's directory or its .tar.gz")


@pytest.mark.parametrize("name", ["verify-other-code", "verify-partial"])
def test_whole_screen_of_verify(name: str, capsys: Streams, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, partial=name == "verify-partial")
    invoke("report", str(bundle), "-o", "report.html")
    snapshots.same(name, whole(capsys, tmp_path, "verify", str(bundle)))


@pytest.mark.parametrize("name", ["default", "vgpu"])
def test_verify_of_a_recorded_run(name: str, capsys: Streams) -> None:
    code, out, err = screen(capsys, "verify", str(GOLDEN / f"{name}.tar.gz"))
    assert (code, err) == (0, ""), out
    assert "✓ every verdict derived again from the log" in out
    assert "SIMULATED" in out
    assert "HOLDS. It says: " in out


def unpacked(name: str, tmp_path: Path) -> Path:
    """The directory of a recorded run."""
    with tarfile.open(GOLDEN / f"{name}.tar.gz") as archive:
        archive.extractall(tmp_path / name, filter="data")
    return tmp_path / name / "bundle"


def test_verify_finds_a_plan_that_asks_less_than_its_release(capsys: Streams, tmp_path: Path) -> None:
    bundle = unpacked("default", tmp_path)

    def weaken(document: Any) -> None:
        for check in document["checks"]:
            check["level"] = "SHOULD"

    for name in ("plan.json", "verdicts.json"):
        edit_document(bundle, name, weaken)
    reseal(bundle)
    code, out, _ = screen(capsys, "verify", str(bundle))
    assert code == 1
    assert "plan      ✗ it is not what its release asks" in out
    assert "gang_scheduling: planned with level SHOULD, which is MUST in release 1.35" in out
    assert "DOES NOT HOLD" in out


def test_verify_tells_of_words_that_only_another_version_knows(capsys: Streams, tmp_path: Path) -> None:
    bundle = unpacked("vgpu", tmp_path)
    edit_document(bundle, "plan.json", lambda plan: plan["checks"][0].update(limits=[], code_sha256="0" * 64))
    reseal(bundle)
    code, out, _ = screen(capsys, "verify", str(bundle))
    assert "plan      ! asks what its release asks, in words that only the aiconform 0.1.0 of then can tell:" in out
    assert "virtualized_accelerator: limits not as this version plans them" in out
    assert (code, "HOLDS. It says" in out) == (0, True)


def beside_an_edited_page(capsys: Streams, bundle: Path, old: str, new: str) -> tuple[int, str]:
    """What ``verify`` says of a bundle whose page has other words; the page is where tests are run."""
    invoke("report", str(bundle), "-o", "report.html")
    page = Path("report.html")
    page.write_text(page.read_text().replace(old, new))
    code, out, _ = screen(capsys, "verify", str(bundle))
    return code, out


def test_verify_finds_a_page_that_was_edited(capsys: Streams, tmp_path: Path) -> None:
    code, out = beside_an_edited_page(capsys, make_bundle(tmp_path), "failed", "passed")
    assert code == 1
    assert "✗ report.html is not what the bundle gives" in out


def test_a_page_that_cannot_be_read_is_not_passed_over(
    capsys: Streams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make_bundle(tmp_path)
    (tmp_path / "report.html").write_text("")

    def unreadable(_path: Path) -> bytes:
        raise PermissionError("not yours")

    monkeypatch.setattr(Path, "read_bytes", unreadable)
    code, out, _ = screen(capsys, "verify", str(bundle))
    assert (code, "✗ report.html is not what the bundle gives" in out) == (1, True)


def test_a_page_of_another_bundle_says_nothing_against_this_one(capsys: Streams, tmp_path: Path) -> None:
    bundle = GOLDEN / "vgpu.tar.gz"
    shutil.copy(bundle, tmp_path)
    invoke("report", str(GOLDEN / "sandbox.tar.gz"), "-o", "report.html")
    code, out, _ = screen(capsys, "verify", "vgpu.tar.gz")
    assert code == 0
    assert "page      ! report.html is not of this bundle, whose digest it does not name" in out
    assert "\nHOLDS, without report.html beside it, which was not compared. It says: " in out


def without_its_digest(plan: Any) -> None:
    del plan["report_sha256"]


@pytest.mark.parametrize("change", [lambda plan: plan.update(report_sha256="0" * 64), without_its_digest])
def test_a_page_that_other_code_rendered_is_not_compared(
    change: Callable[[Any], None], capsys: Streams, tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path)
    edit_document(bundle, "plan.json", change)
    reseal(bundle)
    code, out = beside_an_edited_page(capsys, bundle, "Exit code", "Code of exit")
    assert code == 3
    assert "page      ! report.html is not compared: the aiconform 0.1.0 of then renders otherwise" in out
    assert "\nNOT DECIDED" in out


def test_the_digest_of_the_page_knows_its_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    before = page_digest()
    page_digest.cache_clear()
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + (b" " if path.suffix == ".j2" else b""))
    assert page_digest() != before
    page_digest.cache_clear()


def of_a_later_release(plan: Any) -> None:
    plan.update(release="1.99", report_sha256="0" * 64)


def test_a_bundle_of_a_release_that_is_not_known_is_for_the_version_that_knows_it(
    capsys: Streams, tmp_path: Path
) -> None:
    bundle = unpacked("vgpu", tmp_path)
    edit_document(bundle, "plan.json", of_a_later_release)
    edit_document(bundle, "verdicts.json", lambda verdicts: verdicts.update(release="1.99"))
    reseal(bundle)
    code, out, _ = screen(capsys, "verify", str(bundle))
    assert (code, "DOES NOT HOLD" in out) == (1, True), "the same checklist cannot have known it"
    assert "the checklist of release '1.99' is not known to this version" in out
    edit_document(bundle, "plan.json", lambda plan: plan.update(catalog_sha256="0" * 64))
    reseal(bundle)
    found = json.loads(screen(capsys, "verify", str(bundle), "--format", "json")[1])
    (bundle.parent / "report.html").write_text(f"sha256:{found['root_sha256']}")
    code, out, _ = screen(capsys, "verify", str(bundle))
    assert (code, "\nNOT DECIDED" in out) == (3, True), out
    assert "the checklist of release '1.99' is not known to this version" in out
    assert "verify it with the aiconform 0.1.0 that made it" in out
    assert "page      ! report.html is not compared" in out


def test_a_bundle_cannot_act_on_the_terminal(capsys: Streams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiconform.engine import rejudge as module

    def hostile(*_args: object) -> None:
        raise ValueError("\x1b[2Jall is well\u202e")

    monkeypatch.setattr(module, "rejudge", hostile)
    code, out, err = screen(capsys, "verify", str(make_bundle(tmp_path)))
    assert code == 1
    assert "\x1b" not in out + err
    assert "\u202e" not in out + err
    assert "the replay stumbles: ValueError" in out


def test_catalog_of_one_requirement_names_its_probes_and_limits(capsys: Streams) -> None:
    from aiconform.checks import all_checks

    code, out, _ = screen(capsys, "catalog", "gpu_sharing")
    assert code == 0
    check = all_checks()["gpu_sharing"]
    for words in (*(probe.title for probe in check.probes), *check.limits):
        assert words in out


def test_catalog_as_json_holds_the_facts(capsys: Streams) -> None:
    code, out, _ = screen(capsys, "catalog", "--format", "json")
    assert code == 0
    assert {item["id"] for item in json.loads(out)} >= {"dra_support", "gang_scheduling"}


def test_catalog_diff_as_json_holds_what_differs(capsys: Streams) -> None:
    code, out, _ = screen(capsys, "catalog", "diff", "1.33", "1.34", "--format", "json")
    assert code == 0
    assert json.loads(out)["levels"] == [{"id": "dra_support", "old": "SHOULD", "new": "MUST"}]


def test_options_of_catalog_diff_have_environment_variables(capsys: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AICONFORM_CATALOG_DIFF_FORM", "json")
    code, out, _ = screen(capsys, "catalog", "diff", "1.35", "1.36")
    assert (code, json.loads(out)["new"]) == (0, "1.36")


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (UsageError("x"), 2),
        (UnreachableError("x"), 4),
        (LocalClusterError("x"), 4),
        (BundleError("x"), 1),
        (InternalError("x"), 70),
        (RuntimeError("x"), 70),
        (ExceptionGroup("tasks", [ValueError("y"), ExceptionGroup("inner", [UsageError("x")])]), 2),
        (click.UsageError("x"), 2),
        (click.Abort(), 130),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_error_has_its_exit_code_and_no_traceback(problem: BaseException, code: int, capsys: Streams) -> None:
    def work() -> int:
        raise problem

    assert exits.guarded(work, verbose=False) == code
    assert "Traceback" not in capsys.readouterr().err


def test_a_bug_is_kept_in_a_file_and_shown_with_v(capsys: Streams, tmp_path: Path) -> None:
    def work() -> int:
        raise RuntimeError("boom \x1b[31m")

    assert exits.guarded(work, verbose=False) == 70
    err = capsys.readouterr().err
    file = tmp_path / "home" / ".local/state/aiconform/last-error.txt"
    assert str(file) in err
    assert "\x1b" not in err
    assert "RuntimeError: boom" in file.read_text()
    exits.guarded(work, verbose=True)
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_is_told_also_where_nobodys_home_is_known(capsys: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> int:
        raise ValueError("boom")

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    assert exits.guarded(work, verbose=False) == 70
    hint = "hint: the same command with -v shows where it happened"
    assert capsys.readouterr().err.endswith(f"ValueError: boom\n\n{hint}\n")


def test_v_is_taken_from_anywhere_but_not_from_what_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    from aiconform.cli import _without_verbose

    assert _without_verbose(["run", "-v", "x"]) == (["run", "x"], True)
    assert _without_verbose(["local", "kubectl", "get", "-v", "6"]) == (["local", "kubectl", "get", "-v", "6"], False)
    assert _without_verbose(["local", "kubectl", "--", "-v"]) == (["local", "kubectl", "--", "-v"], False)


def test_the_help_of_the_group_is_that_of_the_commands() -> None:
    context = click.Context(cli)
    for name, line in COMMANDS.items():
        command = cli.get_command(context, name)
        assert command is not None
        assert command.help, name
        assert line.endswith(".")


@pytest.mark.parametrize(
    ("name", "user"),
    [
        ("run-plugin-missing", {"exec": {"command": "no-such-login", "installHint": "brew install no-such-login"}}),
        ("error-plugin-form", {"exec": {"command": "no-such-login", "apiVersion": "v2"}}),
        ("error-auth-provider", {"auth-provider": {"name": "gcp"}}),
        ("error-client-certificate", {"client-certificate-data": "bm9uZQ==", "client-key-data": "bm9uZQ=="}),
    ],
)
def test_what_cannot_log_in_says_what_to_do(capsys: Streams, tmp_path: Path, name: str, user: dict[str, Any]) -> None:
    if "exec" in user:
        user["exec"] = {"apiVersion": "client.authentication.k8s.io/v1beta1", **user["exec"]}
    path = kubeconfig(tmp_path / "config", user)
    text = whole(capsys, tmp_path, "run", "dra_support", "--kubeconfig", str(path), "--output", str(tmp_path / "out"))
    snapshots.same(name, re.sub(r"[0-9a-f]{16}", "<run>", text))
    assert not (tmp_path / "out").exists()


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from aiconform import cli\ntry: cli.main(['-h'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"rich", "pydantic", "httpx2", "anyio", "jinja2", "cryptography"}


def test_error_snapshots_follow_the_form() -> None:
    for path in snapshots.DIRECTORY.glob("error-*.txt"):
        err = path.read_text().partition("--- standard error\n")[2]
        assert re.match(r"error: [^A-Z]", err), path.name
        assert not err.splitlines()[0].endswith("."), path.name
        assert "\nhint: " in err, path.name


def without_a_reader(descriptor: int, *args: str) -> tuple[int, bytes]:
    """Exit code of a command whose standard output (1) or standard error (2) nobody reads; what came on the other."""
    theirs, its = os.pipe()
    os.close(theirs)
    streams = {1: {"stdout": its, "stderr": subprocess.PIPE}, 2: {"stdout": subprocess.PIPE, "stderr": its}}
    try:
        done = subprocess.run([sys.executable, "-m", "aiconform", *args], **streams[descriptor], check=False)  # type: ignore[call-overload]
    finally:
        os.close(its)
    return done.returncode, done.stderr if descriptor == 1 else done.stdout


def test_output_that_nobody_reads_ends_a_command_as_it_ends_others() -> None:
    assert without_a_reader(1, "catalog", "--release", "1.35") == (exits.NOBODY_READS, b"")


def test_nobody_at_the_screen_changes_no_exit_code() -> None:
    assert without_a_reader(2, "catalog", "--release", "0.1") == (exits.USAGE, b"")

"""Named attacks on a bundle's directory: each is found, and the text names the file and the reason.

Attacks marked ``reseal`` come from somebody who computes every digest anew; what they change must then be found by
what the documents say, or by what the release of the plan asks. A forger who also changes all of that consistently is
found by the replay or by a signature.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.bundles import make_bundle
from tests.support.forgery import edit_document, edit_log, rechain, remanifest, repack, reseal

from aiconform.checks import all_checks
from aiconform.engine.replanned import replanned
from aiconform.errors import BundleError
from aiconform.evidence import layout
from aiconform.evidence.integrity import findings
from aiconform.evidence.reader import open_bundle

Attack = Callable[[Path], None]
ATTACKS: list[Any] = []
ON_THE_CHECKLIST: list[Any] = []
"""Found only by who knows what each release asks."""


def attack(*expected: str, found_by: list[Any] = ATTACKS) -> Callable[[Attack], Attack]:
    """Register an attack, with what the text about it must have in it."""

    def register(function: Attack) -> Attack:
        found_by.append(pytest.param(function, expected, id=function.__name__))
        return function

    return register


def complaints(path: Path) -> list[str]:
    """All that is said against a bundle."""
    try:
        bundle = open_bundle(path)
        planned = replanned(bundle.plan, all_checks()).refuted
        return [f"{found.file}: {found.what}" for found in findings(bundle)] + [
            f"plan.json: {what}" for what in planned
        ]
    except BundleError as problem:
        assert problem.hint  # noqa: PT017 - every refusal tells the next step
        return [problem.message]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def bundle(pristine: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pristine, tmp_path / "bundle")


def test_nothing_is_said_against_a_good_bundle(pristine: Path) -> None:
    assert complaints(pristine) == []
    assert complaints(pristine.with_name("bundle.tar.gz")) == []
    assert open_bundle(pristine).root_sha256 == open_bundle(pristine.with_name("bundle.tar.gz")).root_sha256


@pytest.mark.parametrize("options", [{"partial": True}, {"fail": False}])
def test_nothing_is_said_against_other_good_bundles(tmp_path: Path, options: dict[str, bool]) -> None:
    assert complaints(make_bundle(tmp_path, **options)) == []


def test_the_forger_tools_change_nothing_by_themselves(bundle: Path) -> None:
    before = {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    reseal(bundle)
    assert before == {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}


def some_blob(bundle: Path) -> Path:
    return min((bundle / layout.BLOBS).iterdir())


def drop_lines(log: list[dict[str, Any]], keep: Callable[[dict[str, Any]], bool]) -> None:
    log[:] = [line for line in log if keep(line)]


def drop_check(document: Any, name: str) -> None:
    document["checks"] = [check for check in document["checks"] if check["requirement"] != name]


def check_of(document: Any, name: str) -> Any:
    return next(check for check in document["checks"] if check["requirement"] == name)


# --- edited bytes -----------------------------------------------------------------------------------------------------


@attack("plan.json", "digest")
def plan_edited(bundle: Path) -> None:
    edit_document(bundle, layout.PLAN, lambda plan: plan.update(release="1.36"))


@attack("plan.json", "not the plan that the log's first line commits")
def plan_edited_and_manifest_renewed(bundle: Path) -> None:
    edit_document(bundle, layout.PLAN, lambda plan: plan.update(tool="9.9.9"))
    remanifest(bundle)


@attack("verdicts.json", "not the document that the seal names")
def verdict_flipped_and_manifest_renewed(bundle: Path) -> None:
    edit_document(bundle, layout.VERDICTS, lambda v: check_of(v, "secure_accelerator_access").update(outcome="passed"))
    remanifest(bundle)


@attack("verdicts.json", "secure_accelerator_access is passed, but failed in log.jsonl line")
def verdict_flipped_and_resealed(bundle: Path) -> None:
    edit_document(bundle, layout.VERDICTS, lambda v: check_of(v, "secure_accelerator_access").update(outcome="passed"))
    reseal(bundle)


@attack("verdicts.json", "sees_none is passed, but failed in log.jsonl line")
def probe_verdict_flipped_and_resealed(bundle: Path) -> None:
    def flip(verdicts: Any) -> None:
        check_of(verdicts, "secure_accelerator_access")["probes"][1]["outcome"] = "passed"

    edit_document(bundle, layout.VERDICTS, flip)
    reseal(bundle)


@attack("verdicts.json", "its observations are not those of the log")
def observation_edited_in_the_verdicts_and_resealed(bundle: Path) -> None:
    def change(verdicts: Any) -> None:
        check_of(verdicts, "dra_support")["probes"][0]["observations"][0]["observed"] = "5 of 4 kinds"

    edit_document(bundle, layout.VERDICTS, change)
    reseal(bundle)


@attack("blobs/sha256/", "other bytes")
def blob_edited(bundle: Path) -> None:
    blob = some_blob(bundle)
    blob.write_bytes(blob.read_bytes()[:-1] + b"#")


@attack("blobs/sha256/", "other bytes")
def blob_edited_and_manifest_renewed(bundle: Path) -> None:
    blob = some_blob(bundle)
    blob.write_bytes(b"#" + blob.read_bytes()[1:])
    remanifest(bundle)


@attack("log.jsonl", "digest")
def transcript_edited(bundle: Path) -> None:
    def change(log: list[dict[str, Any]]) -> None:
        next(line for line in log if line["type"] == "response")["data"]["status"] = 204

    edit_log(bundle, change)


@attack("log.jsonl line", "does not name the line before it")
def transcript_edited_and_manifest_renewed(bundle: Path) -> None:
    transcript_edited(bundle)
    remanifest(bundle)


@attack("log.jsonl line", "canonical")
def whitespace_added_to_a_line(bundle: Path) -> None:
    log = bundle / layout.LOG
    log.write_bytes(log.read_bytes().replace(b'{"data"', b'{ "data"', 1))


@attack("verdicts.json", "canonical")
def keys_of_a_document_reordered(bundle: Path) -> None:
    path = bundle / layout.VERDICTS
    path.write_bytes(path.read_bytes().replace(b'"partial":false,', b"", 1)[:-1] + b',"partial":false}')


@attack("manifest.json", "canonical")
def line_end_added_to_the_manifest(bundle: Path) -> None:
    path = bundle / layout.MANIFEST
    path.write_bytes(path.read_bytes() + b"\n")


@attack("manifest.json", "another last line")
def log_head_edited(bundle: Path) -> None:
    edit_document(bundle, layout.MANIFEST, lambda manifest: manifest.update(log_head="f" * 64))


@attack("manifest.json", "is of run ffffffffffffffff")
def run_of_the_manifest_edited(bundle: Path) -> None:
    edit_document(bundle, layout.MANIFEST, lambda manifest: manifest.update(run="f" * 16))


@attack("has", "bytes, the manifest says")
def size_in_the_manifest_edited(bundle: Path) -> None:
    edit_document(bundle, layout.MANIFEST, lambda manifest: manifest["files"][0].update(size=1))


@attack("manifest.json", "sorted and once each")
def manifest_lists_a_file_twice(bundle: Path) -> None:
    edit_document(bundle, layout.MANIFEST, lambda manifest: manifest["files"].append(manifest["files"][0]))


# --- lines of the log -------------------------------------------------------------------------------------------------


@attack("log.jsonl line 21: is record 21", "in place 20")
def line_dropped(bundle: Path) -> None:
    edit_log(bundle, lambda log: log.pop(20))
    remanifest(bundle)


@attack("log.jsonl", "its seal says 50")
def line_dropped_and_rechained(bundle: Path) -> None:
    edit_log(bundle, lambda log: log.pop(next(i for i, line in enumerate(log) if line["type"] == "note")))
    rechain(bundle)
    remanifest(bundle)


@attack("log.jsonl line 22", "in place 21")
def line_repeated(bundle: Path) -> None:
    edit_log(bundle, lambda log: log.insert(20, log[20]))
    remanifest(bundle)


@attack("log.jsonl line", "does not name the line before it")
def lines_swapped(bundle: Path) -> None:
    def change(log: list[dict[str, Any]]) -> None:
        log[10], log[11] = log[11], log[10]

    edit_log(bundle, change)
    remanifest(bundle)


@attack("log.jsonl line", "is earlier than the line before it")
def lines_swapped_and_rechained(bundle: Path) -> None:
    def change(log: list[dict[str, Any]]) -> None:
        place = next(i for i, line in enumerate(log) if line["lane"] != log[i + 1]["lane"])
        log[place], log[place + 1] = log[place + 1], log[place]

    edit_log(bundle, change)
    reseal(bundle)


@attack("log.jsonl line", "is the last line and does not seal the log")
def tail_cut_at_a_line(bundle: Path) -> None:
    edit_log(bundle, lambda log: log.pop())
    remanifest(bundle)


@attack("log.jsonl", "does not end")
def tail_cut_within_a_line(bundle: Path) -> None:
    path = bundle / layout.LOG
    path.write_bytes(path.read_bytes()[:-20])


@attack("log.jsonl line", "is the last line and does not seal the log")
def line_appended_after_the_seal(bundle: Path) -> None:
    def change(log: list[dict[str, Any]]) -> None:
        log.append({**log[-2], "seq": len(log), "data": {"removed": [], "left": []}, "n": 1, "mono": log[-1]["mono"]})

    edit_log(bundle, change)
    rechain(bundle)
    remanifest(bundle)


@attack("log.jsonl line", "is a second seal record")
def sealed_twice(bundle: Path) -> None:
    edit_log(bundle, lambda log: log.append(dict(log[-1])))
    reseal(bundle)


@attack("log.jsonl line 1", "does not commit the plan")
def plan_not_committed(bundle: Path) -> None:
    edit_log(bundle, lambda log: log.pop(0))
    reseal(bundle)


@attack("log.jsonl line", "is record 7 of lane discovery")
def number_in_lane_edited(bundle: Path) -> None:
    def change(log: list[dict[str, Any]]) -> None:
        next(line for line in log if line["lane"] == "discovery")["n"] = 7

    edit_log(bundle, change)
    rechain(bundle, number=False)
    remanifest(bundle)


@attack("log.jsonl", "is empty")
def log_emptied(bundle: Path) -> None:
    (bundle / layout.LOG).write_bytes(b"")


@attack("log.jsonl line", "has no valid time")
def wall_time_is_nonsense(bundle: Path) -> None:
    edit_log(bundle, lambda log: log[5].update(wall="yesterday"))
    reseal(bundle)


# --- what was planned -------------------------------------------------------------------------------------------------


@attack("verdicts.json", "requirement secure_accelerator_access was planned and has no verdict")
def failed_check_dropped_from_the_verdicts(bundle: Path) -> None:
    edit_document(bundle, layout.VERDICTS, lambda v: drop_check(v, "secure_accelerator_access"))
    reseal(bundle)


@attack("lane verdict/secure_accelerator_access has no verdicts")
def failed_check_dropped_from_verdicts_and_log(bundle: Path) -> None:
    failed_check_dropped_from_the_verdicts(bundle)
    edit_log(bundle, lambda log: drop_lines(log, lambda line: "secure_accelerator_access" not in line["lane"]))
    reseal(bundle)


@attack("log.jsonl line", "for which nothing was planned")
def failed_check_dropped_from_plan_and_verdicts(bundle: Path) -> None:
    failed_check_dropped_from_the_verdicts(bundle)
    edit_document(bundle, layout.PLAN, lambda plan: drop_check(plan, "secure_accelerator_access"))
    reseal(bundle)


@attack("probe of secure_accelerator_access: sees_none was planned and has no verdict")
def failed_probe_dropped_from_the_verdicts(bundle: Path) -> None:
    edit_document(bundle, layout.VERDICTS, lambda v: check_of(v, "secure_accelerator_access")["probes"].pop())
    reseal(bundle)


@attack("requirement made_up has a verdict and was not planned")
def check_invented(bundle: Path) -> None:
    def change(verdicts: Any) -> None:
        verdicts["checks"].append({**check_of(verdicts, "gang_scheduling"), "requirement": "made_up"})

    edit_document(bundle, layout.VERDICTS, change)
    reseal(bundle)


@attack("lane verdict/dra_support has 2 verdicts")
def second_verdict_recorded(bundle: Path) -> None:
    def change(log: list[dict[str, Any]]) -> None:
        place = next(i for i, line in enumerate(log) if line["lane"] == "verdict/dra_support")
        log.insert(place, log[place])

    edit_log(bundle, change)
    reseal(bundle)


@attack("verdicts.json", "gang_scheduling is a SHOULD, planned as a MUST")
def level_lowered(bundle: Path) -> None:
    edit_document(bundle, layout.VERDICTS, lambda v: check_of(v, "gang_scheduling").update(level="SHOULD"))
    reseal(bundle)


def both(bundle: Path, change: Callable[[Any], None]) -> None:
    """Change the plan and the verdicts alike, and compute everything anew."""
    edit_document(bundle, layout.PLAN, change)
    edit_document(bundle, layout.VERDICTS, change)
    reseal(bundle)


@attack(
    "plan.json: secure_accelerator_access: planned with level SHOULD, which is MUST in release 1.35",
    found_by=ON_THE_CHECKLIST,
)
def every_must_planned_as_a_should(bundle: Path) -> None:
    both(bundle, lambda document: [check.update(level="SHOULD") for check in document["checks"]])


@attack("plan.json: gpu_sharing: planned with level MUST, which is SHOULD in release 1.35", found_by=ON_THE_CHECKLIST)
def level_raised_in_plan_and_verdicts(bundle: Path) -> None:
    both(bundle, lambda document: check_of(document, "gpu_sharing").update(level="MUST"))


@attack(
    "plan.json: secure_accelerator_access: planned with category operator, which is security in release 1.35",
    found_by=ON_THE_CHECKLIST,
)
def planned_under_another_category(bundle: Path) -> None:
    edit_document(bundle, layout.PLAN, lambda p: check_of(p, "secure_accelerator_access").update(category="operator"))
    reseal(bundle)


@attack("plan.json: release 1.36 asks no requirement 'dra_support'", found_by=ON_THE_CHECKLIST)
def planned_for_a_release_that_asks_less(bundle: Path) -> None:
    both(bundle, lambda document: document.update(release="1.36"))


@attack("plan.json", "plans a requirement twice")
def check_planned_twice(bundle: Path) -> None:
    edit_document(bundle, layout.PLAN, lambda plan: plan["checks"].append(plan["checks"][0]))
    reseal(bundle)


@attack("verdicts.json: is of run deadbeefdeadbeef, the plan of run 00c0ffee00c0ffee")
def verdicts_of_another_run(bundle: Path) -> None:
    edit_document(bundle, layout.VERDICTS, lambda verdicts: verdicts.update(run="deadbeef" * 2))
    reseal(bundle)


@attack("verdicts.json: is on release 1.36, the plan on 1.35")
def verdicts_on_another_release(bundle: Path) -> None:
    edit_document(bundle, layout.VERDICTS, lambda verdicts: verdicts.update(release="1.36"))
    reseal(bundle)


@attack("plan.json: is not the plan that the seal names")
def seal_names_another_plan(bundle: Path) -> None:
    edit_log(bundle, lambda log: log[-1]["data"].update(plan_sha256="f" * 64))
    rechain(bundle)
    remanifest(bundle)


@attack("verdicts.json", "does not agree with the seal on whether the run was interrupted")
def interruption_hidden(bundle: Path) -> None:
    edit_document(bundle, layout.VERDICTS, lambda verdicts: verdicts.update(partial=True))
    reseal(bundle)


# --- requests and answers ---------------------------------------------------------------------------------------------


@attack("log.jsonl line", "instead of the answer")
def answer_dropped(bundle: Path) -> None:
    edit_log(bundle, lambda log: log.pop(next(i for i, line in enumerate(log) if line["type"] == "response")))
    reseal(bundle)


@attack("log.jsonl line", "answers nothing that was asked")
def request_dropped(bundle: Path) -> None:
    edit_log(bundle, lambda log: log.pop(next(i for i, line in enumerate(log) if line["type"] == "request")))
    reseal(bundle)


@attack("log.jsonl line", "Audit-ID that is not of this run and place")
def exchange_of_another_run(bundle: Path) -> None:
    def change(log: list[dict[str, Any]]) -> None:
        data = next(line for line in log if line["type"] == "request")["data"]
        data["audit_id"] = data["audit_id"].replace("00c0ffee00c0ffee", "deadbeefdeadbeef")

    edit_log(bundle, change)
    reseal(bundle)


@attack("log.jsonl line", "is a piece of no open stream")
def watch_event_outside_a_watch(bundle: Path) -> None:
    def change(log: list[dict[str, Any]]) -> None:
        chunk = next(line for line in log if line["type"] == "chunk")
        log.insert(2, {**chunk, "lane": "discovery", "mono": log[1]["mono"]})

    edit_log(bundle, change)
    reseal(bundle)


@attack("log.jsonl line", "rests on request 4 of lane nowhere, which is not in the log")
def observation_rests_on_nothing(bundle: Path) -> None:
    def change(log: list[dict[str, Any]]) -> None:
        next(line for line in log if line["type"] == "observation")["data"]["rests_on"] = [{"lane": "nowhere", "n": 4}]

    edit_log(bundle, change)
    reseal(bundle)


@attack("log.jsonl line 3: says that blobs/sha256/", "has 7 bytes, not")
def size_of_a_body_edited(bundle: Path) -> None:
    edit_log(bundle, lambda log: log[2]["data"].update(body_size=7))
    reseal(bundle)


@attack("log.jsonl line 3", "has no canonical form")
def number_beyond_any_json(bundle: Path) -> None:
    path = bundle / layout.LOG
    path.write_bytes(path.read_bytes().replace(b'"body_size":', b'"body_size":99999999999999999999', 1))


@attack("log.jsonl line", "subject: Field required")
def payload_of_another_kind(bundle: Path) -> None:
    edit_log(bundle, lambda log: next(line for line in log if line["type"] == "note").update(type="verdict"))


# --- files ------------------------------------------------------------------------------------------------------------


@attack("blobs/sha256/", "is missing, but the manifest lists it")
def blob_removed(bundle: Path) -> None:
    some_blob(bundle).unlink()


@attack("log.jsonl line", "which is missing")
def blob_removed_and_manifest_renewed(bundle: Path) -> None:
    some_blob(bundle).unlink()
    remanifest(bundle)


@attack("blobs/sha256/", "is not in the manifest")
def blob_added(bundle: Path) -> None:
    (bundle / layout.blob_name(layout.sha256(b"extra"))).write_bytes(b"extra")


@attack("blobs/sha256/", "is named by no record")
def blob_added_and_manifest_renewed(bundle: Path) -> None:
    blob_added(bundle)
    remanifest(bundle)


@attack("blobs/sha256/", "other bytes")
def blobs_swapped(bundle: Path) -> None:
    one, other = sorted((bundle / layout.BLOBS).iterdir())[:2]
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)


@attack("plan.json", "is missing")
def plan_removed(bundle: Path) -> None:
    (bundle / layout.PLAN).unlink()


@attack("was never sealed")
def manifest_removed(bundle: Path) -> None:
    (bundle / layout.MANIFEST).unlink()


@attack("report.html: is no file of a bundle")
def file_added(bundle: Path) -> None:
    (bundle / "report.html").write_text("<p>all passed</p>")


@attack("is no file of a bundle")
def hidden_file_added(bundle: Path) -> None:
    (bundle / layout.BLOBS / ".hidden").write_text("x")


@attack("more: is a directory")
def directory_added(bundle: Path) -> None:
    (bundle / "more").mkdir()


@attack("LOG.JSONL: differs from a file of a bundle in upper and lower case only")
def name_in_other_case_added(bundle: Path) -> None:
    (bundle / "LOG.JSONL").write_text("{}")


@attack("log.jsonl: is a symbolic link")
def log_is_a_link(bundle: Path) -> None:
    moved = bundle.parent / "log"
    (bundle / layout.LOG).rename(moved)
    (bundle / layout.LOG).symlink_to(moved)


@attack("blobs/sha256: is a symbolic link")
def blobs_are_a_link(bundle: Path) -> None:
    (bundle / layout.BLOBS).rename(bundle.parent / "elsewhere")
    (bundle / layout.BLOBS).symlink_to(bundle.parent / "elsewhere")


@attack("verdicts.json: is a named pipe")
def verdicts_are_a_pipe(bundle: Path) -> None:
    (bundle / layout.VERDICTS).unlink()
    os.mkfifo(bundle / layout.VERDICTS)


@attack("verdicts.json: is a socket")
def verdicts_are_a_socket(bundle: Path) -> None:
    (bundle / layout.VERDICTS).unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(bundle)  # the path of a socket may have 108 bytes only
        try:
            listener.bind(layout.VERDICTS)
        finally:
            os.chdir(here)


@attack("plan.json: is a directory")
def plan_is_a_directory(bundle: Path) -> None:
    (bundle / layout.PLAN).unlink()
    (bundle / layout.PLAN).mkdir()


@attack("manifest.json", "../../../etc/passwd", "no file that it may list")
def manifest_lists_a_path_outside(bundle: Path) -> None:
    def change(manifest: Any) -> None:
        manifest["files"].insert(0, {"path": "../../../etc/passwd", "sha256": "0" * 64, "size": 1})

    edit_document(bundle, layout.MANIFEST, change)


@attack("log.jsonl line 3", "names blobs/sha256/../../plan.json, which is missing")
def record_names_a_path_as_a_blob(bundle: Path) -> None:
    def change(log: list[dict[str, Any]]) -> None:
        next(line for line in log if line["type"] == "response")["data"]["body"] = "../../plan.json"

    edit_log(bundle, change)
    reseal(bundle)


# --- JSON -------------------------------------------------------------------------------------------------------------


@attack("verdicts.json", "not strict JSON", "twice in one object")
def key_twice(bundle: Path) -> None:
    path = bundle / layout.VERDICTS
    path.write_bytes(b'{"exit_code":0,' + path.read_bytes()[1:])


@attack("log.jsonl line 3", "not strict JSON", "twice in one object")
def key_twice_in_the_log(bundle: Path) -> None:
    path = bundle / layout.LOG
    parts = path.read_bytes().split(b"\n")
    parts[2] = b'{"lane":"run",' + parts[2][1:]
    path.write_bytes(b"\n".join(parts))


@attack("plan.json", "NaN is not JSON")
def not_a_number(bundle: Path) -> None:
    path = bundle / layout.PLAN
    path.write_bytes(path.read_bytes().replace(b'"timeout_s":180', b'"timeout_s":NaN', 1))


@attack("plan.json", "nested deeper than 40 levels")
def deeply_nested(bundle: Path) -> None:
    (bundle / layout.PLAN).write_bytes(b'{"a":' * 100_000 + b"1" + b"}" * 100_000)


@attack("plan.json", "nested deeper than 40 levels")
def deeply_nested_and_cut(bundle: Path) -> None:
    (bundle / layout.PLAN).write_bytes(b"[" * 1_000_000)


@attack("plan.json", "not UTF-8")
def not_utf_8(bundle: Path) -> None:
    path = bundle / layout.PLAN
    path.write_bytes(path.read_bytes().replace(b"MUST", b"MU\xff\xfe", 1))


@attack("verdicts.json", "extra", "not permitted")
def unknown_field(bundle: Path) -> None:
    edit_document(bundle, layout.VERDICTS, lambda verdicts: verdicts.update(extra=1))


@attack("verdicts.json", "canonical")
def number_as_text(bundle: Path) -> None:
    edit_document(bundle, layout.VERDICTS, lambda verdicts: verdicts.update(exit_code="1"))


@attack("verdicts.json", "outcome")
def outcome_of_no_known_word(bundle: Path) -> None:
    edit_document(bundle, layout.VERDICTS, lambda v: v["checks"][0].update(outcome="implemented"))


@attack("plan.json", "is of format 'aiconform-bundle/2'", "this version reads aiconform-bundle/1")
def format_of_another_version(bundle: Path) -> None:
    edit_document(bundle, layout.PLAN, lambda plan: plan.update(format="aiconform-bundle/2"))


@attack("manifest.json", "is of format None")
def format_left_out(bundle: Path) -> None:
    edit_document(bundle, layout.MANIFEST, lambda manifest: manifest.pop("format"))


@attack("verdicts.json", "at most")
def document_of_a_gigabyte(bundle: Path) -> None:
    with (bundle / layout.VERDICTS).open("r+b") as file:
        file.truncate(2**30)


@attack("log.jsonl", "at most")
def log_of_a_terabyte(bundle: Path) -> None:
    with (bundle / layout.LOG).open("r+b") as file:
        file.truncate(2**40)


@attack("lane \\x1b]0;owned\\x07", "nothing was planned")
def terminal_sequence_in_a_lane(bundle: Path) -> None:
    def change(log: list[dict[str, Any]]) -> None:
        log.insert(-1, {**log[-3], "lane": "\x1b]0;owned\x07", "type": "verdict", "mono": log[-2]["mono"]})
        log[-2]["data"] = {"subject": "x", "outcome": "passed", "reason": ""}

    edit_log(bundle, change)
    reseal(bundle)


@attack("log.jsonl line 7", "at most 1048576 are read")
def very_long_line(bundle: Path) -> None:
    edit_log(bundle, lambda log: log[6].update(type="note", data={"text": "x" * 2**20}))
    reseal(bundle)


@attack("attestations.intoto.jsonl", "cannot check")
def attestation_added(bundle: Path) -> None:
    (bundle / layout.ATTESTATIONS).write_text('{"payload":"","payloadType":"","signatures":[]}\n')


@pytest.mark.parametrize(("change", "expected"), [*ATTACKS, *ON_THE_CHECKLIST])
def test_attack_is_found_and_named(bundle: Path, change: Attack, expected: tuple[str, ...]) -> None:
    change(bundle)
    said = complaints(bundle)
    assert said
    assert any(all(part in one for part in expected) for one in said), said


CARRIED = [
    a for a in ATTACKS if not any(word in a.id for word in ("link", "pipe", "socket", "director", "byte", "case"))
]


@pytest.mark.parametrize(("change", "expected"), CARRIED)
def test_attack_is_found_in_an_archive_too(bundle: Path, change: Attack, expected: tuple[str, ...]) -> None:
    change(bundle)
    said = complaints(repack(bundle))
    assert any(all(part in one for part in expected) for one in said), said


def test_there_are_enough_attacks() -> None:
    assert len(ATTACKS) >= 64
    assert len(ON_THE_CHECKLIST) >= 4

# ruff: noqa: E501 - texts are kept whole
"""The page's structure: everything a reviewer needs, in one file, the same on every machine."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.report.html import Page
from tests.unit.report.sample import MemoryBundle, Scribe, sample, sample_plan, write_bundle

from aiconform.evidence.documents import Plan, Verdicts
from aiconform.evidence.records import RestsOn
from aiconform.report import render_html, render_json, render_markdown
from aiconform.report.model import Citation, ObservationView

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def bundle() -> MemoryBundle:
    return sample()


@pytest.fixture(scope="module")
def html(bundle: MemoryBundle) -> str:
    return render_html(bundle)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def part(html: str, anchor: str) -> str:
    """The HTML of one requirement's section."""
    found = re.search(rf'<section class="req[^"]*" id="{anchor}".*?</section>', html, re.DOTALL)
    assert found, anchor
    return found.group()


def test_header_names_product_versions_nodes_times_and_digests(page: Page, bundle: MemoryBundle) -> None:
    wanted = [
        "k0s v1.35.3+k0s", "v1.35.3+k0s on linux/amd64", "2026-11-24 01:02:03 UTC", "2026-11-24 01:02:36 UTC", bundle.plan.run,
        "containerd://2.2.1", "Debian GNU/Linux 12 (bookworm), 6.1.0-28-amd64", "2 nvidia.com/gpu (Tesla T4), simulated",
        "NVIDIA device plugin", "v0.18.0", "image of DaemonSet nvidia-device-plugin", "aiconform 0.1.0",
        f"sha256:{bundle.root_sha256}", "sha256:" + "c" * 64, "sha256:" + "d" * 64, "sha256:" + "a" * 64,
        "5d0a4f6e-2c55-4b0e-9a86-7f7a3a3f0f7e", "registry.k8s.io/e2e-test-images/busybox:1.37.0-1", "class-told", "aiconform run --local --release 1.35",
        "NVIDIA GPU by device plugin (nvidia.com/gpu); allocation auto", "1 nvidia.com/gpu on worker-9: taint team",
    ]  # fmt: skip
    assert [text for text in wanted if text not in page.text] == []


def test_what_is_unusual_in_the_way_to_the_cluster_is_told() -> None:
    words = "the API server's certificate is not checked"
    unusual = sample(sample_plan().model_copy(update={"unusual": [words]}))
    assert words in Page(render_html(unusual)).text
    assert words in render_markdown(unusual).replace("\\", "")


def test_what_a_reader_should_know_of_the_cluster_is_told() -> None:
    words = "the API server's clock is ahead by 90.0 s at least"
    bundle = sample()
    cluster = bundle.verdicts.cluster.model_copy(update={"remarks": [words]})
    bundle.verdicts = bundle.verdicts.model_copy(update={"cluster": cluster})
    assert words in Page(render_html(bundle)).text
    assert words in render_markdown(bundle).replace("\\", "")
    assert words not in Page(render_html(sample())).text


def test_every_requirement_has_its_anchor_and_is_linked_from_the_summary(page: Page, bundle: MemoryBundle) -> None:
    ids, links = page.values("id"), page.values("href")
    for check in bundle.plan.checks:
        assert check.requirement in ids
        assert links.count(f"#{check.requirement}") >= 3  # ledger, contents, table


def test_simulated_marks_the_page_its_title_and_every_requirement_that_ran(html: str, page: Page) -> None:
    assert "<title>SIMULATED: k0s" in html
    assert "DRA driver gpu.example.com is the example driver" in page.text
    assert page.text.count("SIMULATED") == 2 + 4


def test_a_real_run_carries_no_simulated_mark(bundle: MemoryBundle) -> None:
    real = bundle.verdicts.model_copy(update={"simulated": False, "simulated_because": []})
    assert "SIMULATED" not in render_html(dataclasses.replace(bundle, verdicts=real))


def test_a_partial_run_says_so(bundle: MemoryBundle, page: Page) -> None:
    assert "INTERRUPTED" not in page.text
    cut = bundle.verdicts.model_copy(update={"partial": True})
    assert "INTERRUPTED" in render_html(dataclasses.replace(bundle, verdicts=cut))


def test_verdicts_are_words_not_only_colours(html: str) -> None:
    for anchor, verdict in {
        "dra_support": "passed", "secure_accelerator_access": "failed", "driver_runtime_management": "undecided",
        "virtualized_accelerator": "n/a", "robust_controller": "not run",
    }.items():  # fmt: skip
        head = part(html, anchor).split("</header>")[0]
        assert f"</span>{verdict}</span>" in head


def test_conclusion_and_what_the_exit_code_means(page: Page) -> None:
    assert "Not conformant: 1 MUST failed, 7 MUST not run; 1 MUST and 1 SHOULD passed." in page.text
    assert "Exit code 1: at least one MUST failed." in page.text
    assert "Left behind: pod/bare (finalizers: example.com/hold)" in page.text


def test_requirement_tells_what_was_asked_done_and_what_would_have_failed(html: str) -> None:
    text = Page(part(html, "secure_accelerator_access")).text
    wanted = [
        "A pod without a request finds no device; a pod with one cannot reach another's.", "KAR-0049", "3 of 5 probes passed",
        "a pod without a request sees no device on the same node", "Fails if it sees a device", "0 device nodes on gpu-0",
        "2 device nodes: /dev/nvidia0, /dev/nvidia1", "the runtime handler honours NVIDIA_VISIBLE_DEVICES without a request",
        "Privileged pods and pods with host paths were not tried.", "the run was short of time", "sha256:" + "e" * 64,
        "Left behind: pod/bare (finalizers: example.com/hold)", "1 object removed, 1 left.", "pod three must not be bound",
    ]  # fmt: skip
    assert [phrase for phrase in wanted if phrase not in text] == []


def test_control_and_its_negatives_stand_side_by_side(html: str) -> None:
    pairs = re.findall(
        r'<div class="pair">.*?</article>\s*</div>\s*</div>', part(html, "secure_accelerator_access"), re.DOTALL
    )
    assert len(pairs) == 1
    control, negatives = pairs[0].split("Negative: what must not happen, by the same means")
    assert re.findall(r'<article class="probe" id="([^"]+)"', control) == ["secure_accelerator_access-control"]
    assert re.findall(r'<article class="probe" id="([^"]+)"', negatives) == [
        "secure_accelerator_access-no_request", "secure_accelerator_access-sibling", "secure_accelerator_access-over_request",
    ]  # fmt: skip


def test_transcript_shows_requests_tables_logs_and_lines_to_repeat(html: str) -> None:
    section = part(html, "gpu_sharing")
    text = Page(section).text
    assert "/api/v1/namespaces/aiconform-7f3c/pods/share-0/log?container=main" in text
    assert f"{sample_plan().run}.gpu_sharing/four_share.0" in text
    table = section.split('<div class="kube"')[1].split("</table>")[0]
    columns = re.findall(r"<th scope=\"col\">([^<]*)</th>", table)
    assert columns == ["Name", "Ready", "Status", "Restarts", "Age"]  # the wide column stays out, as with kubectl
    assert re.findall(r"<td>([^<]*)</td>", table)[:5] == ["share-0", "1/1", "Running", "0", "3s"]
    assert "GPU-A\ndone" in text
    assert "To repeat this (not what ran):" in text
    assert "kubectl logs -n aiconform-7f3c share-0 -c main" in text
    assert "Warning: would violate PodSecurity" in text


def test_what_the_api_server_printed_stands_with_the_probe(html: str) -> None:
    probe = part(html, "gpu_sharing").split('id="gpu_sharing-four_share"')[1].split("</article>")[0]
    assert "As the API server printed it" in probe
    printed = probe.split('<div class="printed">')[1]
    assert re.findall(r"<td>([^<]*)</td>", printed)[:3] == ["share-0", "1/1", "Running"]
    other = part(html, "gpu_sharing").split('id="gpu_sharing-fifth_waits"')[1].split("</article>")[0]
    assert "As the API server printed it" not in other


def test_objects_are_named_and_lead_to_their_manifest(html: str) -> None:
    section = part(html, "gpu_sharing")
    made = section.split('<p class="made">')[1].split("</p>")[0]
    assert re.findall(r">(Pod share-\d)</a>", made) == [f"Pod share-{number}" for number in range(4)]
    for anchor in re.findall(r'href="#([^"]+)"', made):
        exchange = section.split(f'id="{anchor}"')[1].split('<div class="exchange"')[0]
        assert ">POST</span>" in exchange


def test_polls_are_cited_once_with_how_often() -> None:
    label = "get pods/a 200"
    cited = [Citation("lane", n, f"x-{n}", label) for n in range(5)] + [Citation("lane", 9, "x-9", "list pods 200")]
    seen = ObservationView("e", "o", "passed", "", (), tuple(cited))
    assert [(one.anchor, times) for one, times in seen.cited] == [("x-4", 5), ("x-9", 1)]


def test_a_stream_links_each_piece_and_says_why_it_ended(html: str, bundle: MemoryBundle) -> None:
    section = part(html, "dra_support")
    assert "stream of 4 pieces, closed once enough was seen" in Page(section).text
    entry = next(text for text in section.split('<div class="exchange"') if "stream of 4 pieces" in text)
    pieces = re.findall(r'href="#blob-([0-9a-f]{32})"', entry)
    assert len(pieces) == 4
    assert set(pieces) <= {digest[:32] for digest in bundle.blobs}


def test_polling_is_folded_and_counted(html: str) -> None:
    assert "and 7 more alike until" in Page(part(html, "dra_support")).text


def polled(rounds: int) -> MemoryBundle:
    """The made-up run, in which one probe asked for two things in turn, again and again."""
    bundle = sample()
    lane = "gpu_sharing/four_share"
    scribe = Scribe(bundle, bundle.ticker)
    scribe.counts[lane] = len(bundle.lanes[lane])
    asked = [scribe.ask(lane, "GET", f"/apis/example.io/v1/{what}", b"{}") for _ in range(rounds) for what in "ab"]
    for check in bundle.verdicts.checks:
        for probe in check.probes:
            if probe.lane == lane:
                seen = probe.observations[0]
                rests = [*seen.rests_on, *(RestsOn(lane=lane, n=n) for n in asked)]
                probe.observations[0] = seen.model_copy(update={"rests_on": rests})
    return bundle


def test_rounds_of_polls_are_shown_by_their_first_and_last() -> None:
    bundle = polled(9)
    section = part(render_html(bundle), "gpu_sharing")
    for what in "ab":
        assert section.count(f'<span class="path">/apis/example.io/v1/{what}</span>') == 3  # first, seven, last
    assert section.count("and 6 more alike until") == 2
    assert section.count("\u00d79") == 2
    document = json.loads(render_json(bundle))
    sharing = next(found for found in document["requirements"] if found["id"] == "gpu_sharing")
    evidence = sharing["probes"][0]["observations"][0]["evidence"]
    told = [reference for reference in evidence if reference["request"] == "GET /apis/example.io/v1/a"]
    assert len({reference["audit_id"] for reference in told}) == 9


def test_writes_are_never_folded(html: str) -> None:
    assert part(html, "gpu_sharing").count('<span class="w">POST</span>') == 4


def test_what_a_clean_up_left_is_named_from_the_log_itself(bundle: MemoryBundle) -> None:
    dump = bundle.verdicts.model_dump()
    for check in dump["checks"]:
        check["left_behind"] = []
    told = dataclasses.replace(bundle, verdicts=Verdicts.model_validate(dump))
    assert "Left behind: pod/bare" in Page(part(render_html(told), "secure_accelerator_access")).text


def test_a_refused_or_lost_request_is_shown_as_such(html: str) -> None:
    text = Page(part(html, "driver_runtime_management")).text
    assert "timeout" in text
    assert "etcdserver: request timed out" in text


def test_timelines_are_drawings_with_a_name_and_a_description(html: str) -> None:
    drawing = part(html, "gpu_sharing").split("<svg", 2)[1]
    assert "<title id=" in drawing
    assert "four_share passed, fifth_waits passed, fifth_starts passed." in drawing
    assert html.count('class="time" role="img"') == 5  # the run, and four requirements that ran


def test_evidence_links_lead_to_the_blob_that_they_name(page: Page, bundle: MemoryBundle) -> None:
    links = [target for target in page.values("href") if target.startswith("bundle/blobs/")]
    assert len(links) > 20
    assert {link.rpartition("/")[2] for link in links} <= set(bundle.blobs)
    assert page.text.count("answer") > 5


def test_every_anchor_lands(page: Page) -> None:
    targets = {target[1:] for target in page.values("href") if target.startswith("#")}
    assert targets <= set(page.values("id"))


def test_policy_allows_this_style_and_nothing_else(html: str) -> None:
    found = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert found
    digest = base64.b64encode(hashlib.sha256(found.group(1).encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:;" in html
    assert html.count("<style") == 1
    assert "style=" not in html.replace("<style>", "")
    for forbidden in ("<script", "@import", "url(", "http://", "https://"):
        assert forbidden not in html.replace("containerd://", "")


def test_a_check_left_out_of_the_verdicts_is_shown_as_not_run(bundle: MemoryBundle) -> None:
    cut = bundle.verdicts.model_copy(update={"checks": bundle.verdicts.checks[1:]})
    text = Page(part(render_html(dataclasses.replace(bundle, verdicts=cut)), "dra_support")).text
    assert "the bundle holds no verdict for it" in text


def test_a_verdict_that_nobody_planned_is_shown_too(bundle: MemoryBundle) -> None:
    plan = Plan.model_validate({**bundle.plan.model_dump(), "checks": bundle.plan.model_dump()["checks"][1:]})
    text = Page(part(render_html(dataclasses.replace(bundle, plan=plan)), "dra_support")).text
    assert "not in the plan" in text


def test_a_missing_blob_is_named_not_fatal(bundle: MemoryBundle) -> None:
    gone = dataclasses.replace(bundle, blobs={})
    assert "(not shown: blobs/sha256/" in Page(render_html(gone)).text


def test_a_long_run_keeps_the_page_small() -> None:
    bundle = sample()
    big = b'{"items": [' + b",".join(b'{"name": "%d", "value": "%s"}' % (n, b"x" * 200) for n in range(20_000)) + b"]}"
    for digest in bundle.blobs:
        bundle.blobs[digest] = big
    html = render_html(bundle)
    assert len(html) < 600_000
    assert "left out" in html


def test_same_page_from_memory_and_disk(tmp_path: Path) -> None:
    first, second = (
        re.sub("sha256:[0-9a-f]{16,64}", "", render_html(found)) for found in (sample(), write_bundle(tmp_path / "b"))
    )
    assert re.sub(r"Plan</dt>.*", "", first)[:5000] == re.sub(r"Plan</dt>.*", "", second)[:5000]


@pytest.mark.parametrize("kind", ["render_html", "render_markdown", "render_json", "render_junit"])
def test_same_bytes_in_every_place_and_language(kind: str, tmp_path: Path) -> None:
    code = (
        "import sys, hashlib, locale; locale.setlocale(locale.LC_ALL, '');"
        "from tests.unit.report.sample import sample; import aiconform.report as r;"
        f"sys.stdout.write(hashlib.sha256(r.{kind}(sample()).encode()).hexdigest())"
    )
    seen = set()
    for zone, language, seed in (
        ("UTC", "C.UTF-8", "1"),
        ("Asia/Kolkata", "C", "2"),
        ("America/St_Johns", "POSIX", "3"),
    ):
        env = {**os.environ, "TZ": zone, "LC_ALL": language, "PYTHONHASHSEED": seed}
        seen.add(
            subprocess.run(
                [sys.executable, "-c", code], cwd=ROOT, env=env, check=True, capture_output=True, text=True
            ).stdout
        )
    assert len(seen) == 1
    assert len(seen.pop()) == 64

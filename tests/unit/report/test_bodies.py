from __future__ import annotations

import json

from tests.unit.report.sample import event, pod, table

from aiconform.evidence.records import ChunkData
from aiconform.report.bodies import MAX_CHARACTERS, MAX_ROWS, shown_body, shown_stream
from aiconform.report.exchanges import Chunk


def stream(*pieces: bytes) -> tuple[list[Chunk], dict[str, bytes]]:
    store = {f"{number:064d}": piece for number, piece in enumerate(pieces)}
    chunks = [Chunk(number * 1_000_000, ChunkData(body=digest)) for number, digest in enumerate(store)]
    return [*chunks, Chunk(9_000_000, ChunkData(end="left"))], store


def test_a_server_printed_table_shows_what_kubectl_shows() -> None:
    shown = shown_body(table(["Name", "Ready", "~Node"], [["a", "1/1", "n"], ["b", 2, None]]), "answer")
    assert shown.columns == ("Name", "Ready")
    assert shown.rows == (("a", "1/1"), ("b", "2"))
    assert shown.left_out == ""


def test_a_long_table_says_how_many_rows_it_left_out() -> None:
    shown = shown_body(table(["Name"], [[str(n)] for n in range(MAX_ROWS + 7)]), "answer")
    assert len(shown.rows) == MAX_ROWS
    assert shown.left_out == "7 rows left out"


def test_json_reads_like_a_manifest() -> None:
    value = {"verbs": ["get", "list"], "long": ["x" * 60, "y" * 60]}
    shown = shown_body(json.dumps(value).encode(), "answer")
    assert shown.text.split("\n") == ['verbs: ["get", "list"]', "long:", f"- {'x' * 60}", f"- {'y' * 60}"]


def test_a_cut_body_says_how_many_bytes_are_missing() -> None:
    data = b"0123456789" * 1000
    shown = shown_body(data, "answer")
    assert shown.text == data.decode()[:MAX_CHARACTERS]
    assert shown.left_out == "7.0 kB left out"


def test_what_is_no_json_is_text_and_odd_bytes_are_written_out() -> None:
    assert shown_body(b"pass\xff\n", "answer").text == "pass\\xff\n"


def test_a_watch_becomes_a_table_of_events() -> None:
    chunks, store = stream(
        event("ADDED", pod("a", phase="Pending", reason="Unschedulable")), event("MODIFIED", pod("a", phase="Running"))
    )
    shown = shown_stream(chunks, store.__getitem__)
    assert shown
    assert shown.columns == ("At", "Event", "Object", "State")
    assert shown.rows == (
        ("0:00.000", "ADDED", "Pod/a", "Pending, PodScheduled=False (Unschedulable)"),
        ("0:01.000", "MODIFIED", "Pod/a", "Running, PodScheduled=True"),
    )


def test_a_watch_for_tables_keeps_the_columns_of_its_first_event() -> None:
    first = json.loads(table(["Name", "Status"], [["a", "Pending"]]))
    later = {**first, "columnDefinitions": None, "rows": [{"cells": ["a", "Running"]}]}
    chunks, store = stream(event("ADDED", first), event("MODIFIED", later))
    shown = shown_stream(chunks, store.__getitem__)
    assert shown
    assert shown.columns == ("At", "Event", "Name", "Status")
    assert [row[1:] for row in shown.rows] == [("ADDED", "a", "Pending"), ("MODIFIED", "a", "Running")]


def test_a_long_watch_keeps_its_beginning_and_its_end() -> None:
    chunks, store = stream(*(event("MODIFIED", pod(f"p{n}", phase="Pending")) for n in range(30)))
    shown = shown_stream(chunks, store.__getitem__)
    assert shown
    assert [row[2] for row in shown.rows] == [f"Pod/p{n}" for n in [0, 1, 2, 3, *range(22, 30)]]
    assert shown.left_out == "18 events left out after the first 4"


def test_a_followed_log_is_text_line_by_line() -> None:
    chunks, store = stream(b"one\n", b"two", b"three\n")
    shown = shown_stream(chunks, store.__getitem__)
    assert shown
    assert shown.text == "one\ntwo\nthree\n"


def test_a_stream_without_pieces_shows_nothing() -> None:
    assert shown_stream(stream()[0], {}.__getitem__) is None


def test_a_list_of_objects_shows_their_states() -> None:
    body = {"kind": "PodList", "items": [pod("a", phase="Running"), pod("b", phase="Pending", reason="Unschedulable")]}
    shown = shown_body(json.dumps(body).encode(), "answer")
    assert shown.label == "answer, the state of 2 objects"
    assert shown.rows == (
        ("Pod/a", "Running, PodScheduled=True"),
        ("Pod/b", "Pending, PodScheduled=False (Unschedulable)"),
    )


def test_a_list_without_states_is_shown_whole() -> None:
    shown = shown_body(b'{"kind": "DeviceClassList", "items": [{"metadata": {"name": "gpu"}, "spec": {}}]}', "answer")
    assert "name: gpu" in shown.text


def test_a_claim_shows_what_was_allocated_to_it() -> None:
    device = {"driver": "gpu.example.com", "pool": "gpu-0", "device": "gpu-1", "request": "r"}
    status = {"allocation": {"devices": {"results": [device]}}, "reservedFor": [{"name": "p"}]}
    claim = {"kind": "ResourceClaim", "metadata": {"name": "c"}}
    body = {"kind": "ResourceClaimList", "items": [{**claim, "status": status}, {**claim, "status": {}}]}
    shown = shown_body(json.dumps(body).encode(), "answer")
    assert [row[1] for row in shown.rows] == ["allocated gpu.example.com/gpu-0/gpu-1, reserved for 1", "not allocated"]


def test_the_status_of_an_object_stands_before_its_specification() -> None:
    text = shown_body(json.dumps(pod("a", phase="Running")).encode(), "answer").text
    assert text.index("phase: Running") < text.index("containers:")

"""A verifier of bundles that shares no line with aiconform: from docs/bundle.md, with the standard library only.

``python second_verifier.py BUNDLE`` prints what is wrong, and nothing for a good bundle. It does not replay.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

DOCUMENTS = ("log.jsonl", "manifest.json", "plan.json", "verdicts.json")
NAME = re.compile(r"blobs/sha256/[0-9a-f]{64}|log\.jsonl|(?:manifest|plan|verdicts)\.json", re.ASCII)
HEADER = bytes.fromhex("1f8b08040000000002ff24004143") + b"\x20\x00"
LIMIT = 160 * 2**20


class WrongError(Exception):
    """Something is wrong with the bundle."""


def must(condition: object, what: str) -> None:
    """Go on only if it holds."""
    if not condition:
        raise WrongError(what)


def sha256(data: bytes) -> str:
    """In lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def parse(name: str, data: bytes) -> Any:
    """Canonical JSON, or nothing."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        must(len(dict(pairs)) == len(pairs), f"{name}: a key twice")
        return dict(pairs)

    try:
        value = json.loads(data.decode(), object_pairs_hook=unique)
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
        must(text.encode() == data, f"{name}: not canonical")
    except (ValueError, RecursionError) as problem:
        raise WrongError(f"{name}: {problem}") from problem
    return value


def files_of(path: Path) -> dict[str, bytes]:
    """Every file by its name, from a directory or an archive."""
    if path.is_dir():
        found = {}
        for entry in sorted(path.rglob("*")):
            name = entry.relative_to(path).as_posix()
            must(not entry.is_symlink(), f"{name}: a link")
            if entry.is_dir():
                must(name in ("blobs", "blobs/sha256"), f"{name}: a directory")
            else:
                must(entry.is_file() and NAME.fullmatch(name) and entry.stat().st_size < LIMIT, f"{name}: not a file")
                found[name] = entry.read_bytes()
        return found
    data = path.read_bytes()
    must(data[:16] == HEADER and hashlib.sha256(data[48:]).digest() == data[16:48], "archive: its frame was changed")
    try:
        with gzip.open(path) as stream:
            tar = stream.read(2 * LIMIT)
    except (OSError, EOFError, ValueError) as problem:
        raise WrongError(f"archive: {problem}") from problem
    return members_of(tar)


def members_of(tar: bytes) -> dict[str, bytes]:
    """The files of a tar of which every byte is fixed."""
    found: dict[str, bytes] = {}
    at = 0
    while tar[at : at + 512] != bytes(512):
        name = tar[at : at + 100].rstrip(b"\0").decode("utf-8", "replace").removeprefix("bundle/")
        must(NAME.fullmatch(name) and name > max(found, default=""), f"{name!a}: no name of a bundle, or out of order")
        size = int(tar[at + 124 : at + 135], 8)
        must(tar[at : at + 512] == member_header(name, size), f"{name}: its header was changed")
        end = at + 512 + size
        found[name] = tar[at + 512 : end]
        at = end + -size % 512
        must(tar[end:at] == bytes(at - end), f"{name}: something in the padding")
    must(tar[at:] == bytes(1024), "archive: something after its end")
    return found


def member_header(name: str, size: int) -> bytes:
    """POSIX ustar: mode 0644, owner 0, time 0."""
    fields = (
        f"bundle/{name}".encode().ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + f"{size:011o}\0".encode()
        + b"00000000000\0" + b" " * 8 + b"0" + bytes(100) + b"ustar\x0000"
    ).ljust(512, b"\0")  # fmt: skip
    return fields[:148] + f"{sum(fields):06o}\0 ".encode() + fields[156:]


def check_files(files: dict[str, bytes], manifest: Any) -> None:
    """Digests, and a closed world."""
    listed = {file["path"]: (file["size"], file["sha256"]) for file in manifest["files"]}
    must([file["path"] for file in manifest["files"]] == sorted(listed), "manifest.json: not sorted")
    must(set(listed) == set(files) - {"manifest.json"}, "manifest.json: lists other files than there are")
    for name, data in files.items():
        if name in listed:
            must(listed[name] == (len(data), sha256(data)), f"{name}: not as the manifest says")
        if name.startswith("blobs/"):
            must(name.endswith(sha256(data)), f"{name}: named by another digest")


def check_log(files: dict[str, bytes], manifest: Any, plan: Any) -> dict[str, list[Any]]:
    """The chain, its ends, its lanes."""
    lines = files["log.jsonl"].split(b"\n")
    must(lines.pop() == b"" and lines, "log.jsonl: does not end with a line")
    prev, mono = "0" * 64, 0
    lanes: dict[str, list[Any]] = defaultdict(list)
    for number, line in enumerate(lines):
        record = parse(f"log.jsonl line {number + 1}", line)
        where = f"log.jsonl line {number + 1}: out of place"
        lane = lanes[record["lane"]]
        must((record["seq"], record["prev"], record["n"]) == (number, prev, len(lane)), where)
        must(record["mono"] >= mono and re.fullmatch(r"[0-9T:.-]{23}Z", record["wall"]), where)
        must((record["type"] == "plan") == (number == 0) and (record["type"] == "seal") == (line is lines[-1]), where)
        prev, mono = sha256(line), record["mono"]
        lane.append(record)
    first, last = lanes["run"][0]["data"], lanes["run"][-1]["data"]
    digests = (sha256(files["plan.json"]), sha256(files["verdicts.json"]))
    must(first == {"sha256": digests[0]}, "plan.json: not the one committed")
    must((last["plan_sha256"], last["verdicts_sha256"], last["records"]) == (*digests, len(lines)), "seal: wrong")
    must(manifest["log_head"] == prev, "manifest.json: another log")
    used = {f"blobs/sha256/{r['data']['body']}" for lane in lanes.values() for r in lane if r["data"].get("body")}
    must(used == {name for name in files if name.startswith("blobs/")}, "blobs: not those that the log names")
    for name, lane in lanes.items():
        check_lane(files, plan["run"], name, lane, lanes)
    return lanes


def check_lane(files: dict[str, bytes], run: str, name: str, lane: list[Any], lanes: dict[str, list[Any]]) -> None:
    """No answer without a question, no question without an answer."""
    asked, stream = False, False
    for record in lane:
        kind, data = record["type"], record["data"]
        must(asked == (kind == "response"), f"lane {name!a}: an answer is missing, or answers nothing")
        must(stream == (kind == "chunk") or kind == "deadline", f"lane {name!a}: a stream is not ended, or not open")
        if kind == "request":
            must(data["audit_id"] == f"{run}.{name}.{record['n']}", f"lane {name!a}: of another run")
        if kind == "response":
            must(not data["body"] or len(files[f"blobs/sha256/{data['body']}"]) == data["body_size"], "size of a body")
            stream = lane[record["n"] - 1]["data"]["stream"] and data["error"] != "cut off"
        if kind == "deadline" or (kind == "chunk" and data["end"]):
            stream = False
        for rests in data.get("rests_on", []):
            asks = lanes.get(rests["lane"], [])[rests["n"] : rests["n"] + 1]
            must(asks and asks[0]["type"] == "request", f"lane {name!a}: rests on nothing")
        asked = kind == "request"
    must(not asked and not stream, f"lane {name!a}: ends too early")


def check_verdicts(plan: Any, verdicts: Any, lanes: dict[str, list[Any]]) -> None:
    """All that was planned has one verdict, and the log and the document tell the same."""
    must([c["requirement"] for c in plan["checks"]] == [c["requirement"] for c in verdicts["checks"]], "checks: differ")
    must(len({c["requirement"] for c in plan["checks"]}) == len(plan["checks"]), "plan.json: a check twice")
    expected = {}
    for planned, check in zip(plan["checks"], verdicts["checks"], strict=True):
        name = planned["requirement"]
        must(check["level"] == planned["level"], f"{name}: another level")
        must([p["id"] for p in planned["probes"]] == [p["id"] for p in check["probes"]], f"{name}: probes differ")
        expected[f"verdict/{name}"] = (name, check)
        for probe in check["probes"]:
            lane = f"{name}/{probe['id']}"
            must(probe["lane"] == lane, f"{lane}: another lane")
            expected[lane] = (probe["id"], probe)
            seen = [record["data"] for record in lanes.get(lane, []) if record["type"] == "observation"]
            must(seen == probe["observations"], f"{lane}: other observations")
    for lane in expected.keys() | {name for name, lane in lanes.items() if any(r["type"] == "verdict" for r in lane)}:
        records = [record for record in lanes.get(lane, []) if record["type"] == "verdict"]
        must(lane in expected and len(records) == 1 and records[0] is lanes[lane][-1], f"lane {lane!a}: verdicts")
        subject, verdict = expected[lane]
        told = {"subject": subject, "outcome": verdict["outcome"], "reason": verdict["reason"]}
        must(records[0]["data"] == told, f"lane {lane!a}: another verdict")


def verify(path: Path) -> str:
    """What is wrong with a bundle, or nothing."""
    try:
        files = files_of(path)
        must(set(DOCUMENTS) <= set(files), "a document is missing")
        plan, verdicts, manifest = (parse(n, files[n]) for n in ("plan.json", "verdicts.json", "manifest.json"))
        for document in (plan, verdicts, manifest):
            must(document["format"] == "aiconform-bundle/1" and document["run"] == plan["run"], "format or run")
        must(verdicts["release"] == plan["release"], "release")
        check_files(files, manifest)
        lanes = check_log(files, manifest, plan)
        must(lanes["run"][-1]["data"]["partial"] == verdicts["partial"], "partial")
        check_verdicts(plan, verdicts, lanes)
    except WrongError as wrong:
        return str(wrong)
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as problem:
        return f"not of the form of a bundle: {problem!r}"
    return ""


if __name__ == "__main__":
    sys.exit(verify(Path(sys.argv[1])))

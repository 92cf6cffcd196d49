"""Redaction of whole answers: structure, order, secrets in every carrier, and what must survive."""

from __future__ import annotations

import base64
import json
import time
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiconform.evidence.redact import Redactor

JSON = "application/json"
TOKEN = "k8s-aws-v1.Zm9vYmFyK2Jhei9xdXV4Pz8+Pj4.9aBcDeFgHiJkLmNoPqRsTuVwXyZ"
KEY = (
    "-----BEGIN RSA PRIVATE KEY-----\n"
    + "\n".join(
        base64.b64encode(bytes((17 * row + 31 * byte) % 256 for byte in range(48))).decode() for row in range(12)
    )
    + "\n-----END RSA PRIVATE KEY-----\n"
)
CERTIFICATE = KEY.replace("RSA PRIVATE KEY", "CERTIFICATE").swapcase().replace("certificate", "CERTIFICATE")
CERTIFICATE = CERTIFICATE.replace("begin", "BEGIN").replace("end", "END")


def redacted(value: Any, redactor: Redactor | None = None) -> Any:
    """A JSON answer after redaction."""
    return json.loads((redactor or Redactor()).redact_body(json.dumps(value).encode(), JSON))


def pod(name: str, namespace: str = "x", **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, **more}


# -- structure ----------------------------------------------------------------------------------------------------


def test_bookkeeping_is_dropped_wherever_the_object_stands() -> None:
    meta = {
        "name": "a",
        "managedFields": [{"manager": "kubectl"}],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "kept": "yes"},
    }
    event = {"type": "ADDED", "object": {"kind": "Pod", "metadata": meta}}
    assert redacted(event)["object"]["metadata"] == {"name": "a", "annotations": {"kept": "yes"}}
    assert redacted({"kind": "PodList", "items": [{"metadata": meta}]})["items"][0]["metadata"].keys() == {
        "name",
        "annotations",
    }


def test_lists_come_in_order_of_namespace_and_name() -> None:
    items = [pod("b", "y"), pod("a", "y"), pod("c", "x")]
    names = [item["metadata"]["name"] for item in redacted({"kind": "PodList", "items": items})["items"]]
    assert names == ["c", "a", "b"]


def test_rows_of_a_table_of_objects_come_in_order() -> None:
    rows = [{"cells": [name], "object": pod(name)} for name in ("b", "c", "a")]
    assert [row["cells"] for row in redacted({"kind": "Table", "rows": rows})["rows"]] == [["a"], ["b"], ["c"]]


def test_lists_of_something_else_keep_their_order() -> None:
    value = {"kind": "OddList", "items": ["b", "a", 1]}
    assert redacted(value) == value
    one_object = {"kind": "Bundle", "items": [pod("b"), pod("a")]}
    assert redacted(one_object) == one_object
    assert redacted({"kind": "OddList", "items": "none"}) == {"kind": "OddList", "items": "none"}


def test_a_serial_that_looks_like_something_else_is_treated_as_that() -> None:
    redactor = Redactor()
    assert redacted({"serial": "10.0.0.7"}, redactor) == {"serial": "ip-1"}
    assert redacted({"serial": "serial-1"}, redactor) == {"serial": "serial-1"}
    assert redacted({"serial": "A1"}, redactor) == {"serial": "serial-2"}
    assert redactor.restore_text("serial-2") == "A1"


@pytest.mark.parametrize(
    "node",
    [
        {"metadata": None, "status": None, "spec": None},
        {"metadata": {"name": 7}, "status": {"addresses": [{"type": "Hostname", "address": 7}, "x"]}},
        {"metadata": [], "status": {"addresses": {}}},
    ],
)
def test_odd_nodes_do_not_make_it_stumble(node: Any) -> None:
    assert redacted({"kind": "NodeList", "items": [node]})["items"] == [node]
    table = {"kind": "Table", "columnDefinitions": [{"name": n} for n in ("Name", "Status", "Roles", "Age")]}
    rows = [{"cells": []}, {"cells": [7]}, {"cells": "x"}]
    assert redacted(table | {"rows": rows})["rows"] == rows


def test_rows_without_objects_keep_the_servers_order() -> None:
    rows = [{"cells": ["b"]}, {"cells": ["a"]}]
    assert redacted({"kind": "Table", "rows": rows})["rows"] == rows


def test_the_order_of_keys_and_of_other_lists_is_kept() -> None:
    value = {"kind": "Pod", "b": 1, "a": [3, 1, 2], "command": ["z", "a"]}
    assert list(redacted(value)) == ["kind", "b", "a", "command"]
    assert redacted(value) == value


@pytest.mark.parametrize("value", [0, -1.5, True, None, [], {}, "", 2**60, [[[]]], {"": ""}])
def test_what_is_no_text_is_untouched(value: Any) -> None:
    assert redacted(value) == value


def test_addresses_in_keys_values_tables_and_watch_events() -> None:
    redactor = Redactor()
    table = {"kind": "Table", "rows": [{"cells": ["pod-a", "1/1", "10.0.0.7", 3]}]}
    assert redacted(table, redactor)["rows"][0]["cells"] == ["pod-a", "1/1", "ip-1", 3]
    assert redacted({"10.0.0.7": "10.0.0.8"}, redactor) == {"ip-1": "ip-2"}
    event = {"type": "MODIFIED", "object": {"status": {"podIP": "10.0.0.8", "podIPs": [{"ip": "10.0.0.8"}]}}}
    assert redacted(event, redactor)["object"]["status"] == {"podIP": "ip-2", "podIPs": [{"ip": "ip-2"}]}


def test_nodes_are_learned_from_a_list_and_replaced_from_then_on() -> None:
    redactor = Redactor()
    real = "gpu-0.rack7.example.com"
    node = {
        "metadata": {"name": real, "labels": {"kubernetes.io/hostname": real}},
        "spec": {"providerID": "aws:///eu-central-1a/i-0123456789abcdef0"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "10.0.0.7"}, {"type": "Hostname", "address": real}],
            "nodeInfo": {"machineID": "0a0b0c0d0e0f", "kubeletVersion": "v1.35.3", "bootID": "b-1"},
        },
    }
    seen = redacted({"kind": "NodeList", "items": [node, {"metadata": {"name": "gpu-1"}}]}, redactor)
    assert [item["metadata"]["name"] for item in seen["items"]] == ["node-1", "gpu-1"], "the server's order is kept"
    assert real not in json.dumps(seen)
    assert "i-0123456789abcdef0" not in json.dumps(seen)
    info = seen["items"][0]["status"]["nodeInfo"]
    assert info == {"machineID": "serial-1", "kubeletVersion": "v1.35.3", "bootID": "b-1"}
    assert redactor.redact_text(f"scheduled to {real}") == "scheduled to node-1"
    assert redactor.restore_text("/api/v1/nodes/node-1") == f"/api/v1/nodes/{real}"


def test_a_table_of_nodes_teaches_their_names_too() -> None:
    columns = [{"name": name} for name in ("Name", "Status", "Roles", "Age", "Version")]
    rows = [{"cells": ["gpu-0.example.com", "Ready", "<none>", "5m", "v1.35.3"]}]
    seen = redacted({"kind": "Table", "columnDefinitions": columns, "rows": rows})
    assert seen["rows"][0]["cells"][0] == "node-1"


def test_a_table_of_something_else_teaches_nothing() -> None:
    columns = [{"name": name} for name in ("Name", "Ready", "Status", "Restarts", "Age")]
    rows = [{"cells": ["a-pod-of-a-long-name-that-would-tell-something", "1/1", "Running", 0, "5m"]}]
    table = {"kind": "Table", "columnDefinitions": columns, "rows": rows}
    assert redacted(table) == table


def test_a_name_learned_late_is_replaced_in_strings_seen_before() -> None:
    redactor = Redactor()
    redacted({"message": "on gpu-0.example.com"}, redactor)
    redacted({"kind": "Node", "metadata": {"name": "gpu-0.example.com"}}, redactor)
    assert redacted({"message": "on gpu-0.example.com"}, redactor) == {"message": "on node-1"}


def test_keys_that_become_the_same_are_both_kept() -> None:
    redactor = Redactor([TOKEN, TOKEN[::-1]])
    assert list(redacted({TOKEN: 1, TOKEN[::-1]: 2}, redactor).values()) == [1, 2]


def test_a_string_with_nul_in_it_is_still_redacted() -> None:
    assert redacted(["a\0b 10.0.0.7", "10.0.0.8"]) == ["a\0b ip-1", "ip-2"]


# -- Secrets ------------------------------------------------------------------------------------------------------

PLANTED = base64.b64encode(b"hunter2-hunter2").decode()
SECRET = {
    "kind": "Secret",
    "metadata": {"name": "s", "annotations": {"note": PLANTED}},
    "data": {"password": PLANTED},
    "stringData": {"x": PLANTED},
}


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(SECRET),
        json.dumps({"kind": "SecretList", "items": [{k: v for k, v in SECRET.items() if k != "kind"}]}),
        json.dumps({"kind": "List", "items": [SECRET]}),
        json.dumps({"type": "ADDED", "object": SECRET}),
        json.dumps({"kind": "ConfigMap", "data": {"dump": json.dumps({k: SECRET[k] for k in ("kind", "data")})}}),
        json.dumps(SECRET)[:-1] + ', "data": 1}',
        json.dumps(SECRET)[:-9],
        '{"kind": "Secret", "kind": "Secret", "data": {"a": "' + PLANTED + '"}}',
    ],
)
def test_nothing_of_a_secret_is_kept(body: str) -> None:
    assert PLANTED not in Redactor().redact_body(body.encode(), JSON).decode()


@pytest.mark.parametrize(
    "text",
    [
        'dump: {"kind":"Secret","data":{"a":"%s"}}',
        "kind: Secret\nmetadata:\n  name: x\ndata:\n  a: %s\n  b: %s\n",
        "- kind: Secret\n  data:\n    a: %s\n",
        'escaped: {\\"kind\\":\\"Secret\\",\\"data\\":{\\"a\\":\\"%s\\"}}',
    ],
)
def test_a_secret_in_a_log_is_emptied(text: str) -> None:
    assert PLANTED not in Redactor().redact_text(text.replace("%s", PLANTED))


def test_that_a_secret_is_named_blanks_nothing_else() -> None:
    value = {"involvedObject": {"kind": "Secret", "name": "tls"}, "message": "mounted", "data": {"a": "b"}}
    assert redacted(value) == value


# -- our own credentials ------------------------------------------------------------------------------------------


def encodings(secret: str) -> dict[str, str]:
    raw = secret.encode()
    found = {
        "raw": secret,
        "hex": raw.hex(),
        "HEX": raw.hex().upper(),
        "he:xa": raw.hex(":"),
        "percent": quote(secret, safe=""),
        "every byte percent": "".join(f"%{byte:02X}" for byte in raw),
        "json": json.dumps(secret)[1:-1],
        "json twice": json.dumps(json.dumps(secret)[1:-1])[1:-1],
        "folded at 64": "\n".join(secret[at : at + 64] for at in range(0, len(secret), 64)),
    }
    for lead in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found[f"{encode.__name__} {lead}"] = encode(b"ab:"[:lead] + raw + b"!").decode()
    folded = base64.encodebytes(raw).decode()
    return found | {"base64 folded": folded, "base64 folded, escaped": folded.replace("\n", "\\n")}


OURS = Redactor([TOKEN, KEY])


def _body(value: Any, kind: str = JSON) -> str:
    data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
    return OURS.redact_body(data, kind).decode()


CARRIERS = {
    "text": lambda form: OURS.redact_text(f"log line {form} goes on"),
    "string": lambda form: _body({"a": form}),
    "in a string": lambda form: _body(["x", f"<{form}>"]),
    "key": lambda form: _body({form: 1}),
    "cell": lambda form: _body({"kind": "Table", "rows": [{"cells": [form]}]}),
    "log": lambda form: _body(f"10.0.0.1 {form}\n", "text/plain"),
    "cut JSON": lambda form: _body(json.dumps({"a": form})[:-1]),
    "html": lambda form: _body(f"<p>{form}</p>", "text/html"),
}


def leaks(form: str, output: str) -> bool:
    """Whether any 20 characters in a row of a spelling are in the output."""
    pieces = [piece for line in form.split("\n") for piece in line.split("\\n")]
    inner = [piece[4:-4] for piece in pieces]  # a base64 string's ends hold other bytes too
    return any(piece[at : at + 20] in output for piece in inner for at in range(len(piece) - 19))


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("secret", [TOKEN, KEY], ids=["token", "key"])
def test_no_own_secret_survives_in_any_spelling_in_any_carrier(carrier: str, secret: str) -> None:
    for spelling, form in encodings(secret).items():
        body = form.replace("-----BEGIN RSA PRIVATE KEY-----", "").replace("-----END RSA PRIVATE KEY-----", "")
        output = CARRIERS[carrier](form)
        assert not leaks(body, output), spelling
        assert "[redacted]" in output, spelling


@pytest.mark.parametrize("length", [19, 25, 40])
def test_a_part_of_a_secret_does_not_survive(length: int) -> None:
    for at in range(len(TOKEN) - length):
        part = TOKEN[at : at + length]
        assert part not in OURS.redact_text(f"token {part}... cut")


@pytest.mark.parametrize("start", range(12))
@pytest.mark.parametrize("length", [19, 24, 33])
def test_a_part_is_cut_out_exactly(start: int, length: int) -> None:
    part = TOKEN[20 + start : 20 + start + length]
    for lead in range(9):
        before, after = "~" * lead + "%", "%" + "~" * (8 - lead)
        assert OURS.redact_text(f"{before}{part}{after}") == f"{before}[redacted]{after}"


def test_what_every_token_begins_with_is_no_part_of_ours() -> None:
    head = "eyJhbGciOiJSUzI1NiIsImtpZCI6I"
    ours = f"{head}jEyMzQ1Njc4OTAifQ.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
    text = f"tokens begin with {head} mostly"
    assert Redactor([ours]).redact_text(text) == text


def test_lines_of_a_key_do_not_survive_alone() -> None:
    line = KEY.splitlines()[4]
    assert Redactor([KEY]).redact_text(f"> {line}") == "> [redacted]"


def test_the_data_in_a_pem_does_not_survive_in_hex() -> None:
    der = base64.b64decode("".join(KEY.splitlines()[1:-1]))
    assert der.hex()[40:90] not in Redactor([KEY]).redact_text(f"dump {der.hex()}")


def test_a_certificate_is_redacted_as_a_whole_only() -> None:
    redactor = Redactor([CERTIFICATE])
    line = CERTIFICATE.splitlines()[3]
    assert redactor.redact_text(CERTIFICATE) == "[redacted]\n"
    assert redactor.redact_text(line) == line, "parts of a certificate are in the CA's too"
    assert redactor.redact_text(base64.b64encode(CERTIFICATE.encode()).decode()).startswith("[redacted]")


def test_a_certificate_from_a_kubeconfig_is_redacted_as_a_whole_only() -> None:
    packed = base64.b64encode(CERTIFICATE.encode()).decode()
    redactor = Redactor([packed])
    assert redactor.redact_text(f"x {packed} y") == "x [redacted] y"
    assert redactor.redact_text(packed[200:300]) == packed[200:300]


@pytest.mark.parametrize("learned", [False, True])
def test_secrets_of_eight_bytes_go_and_shorter_ones_do_not_eat_every_word(*, learned: bool) -> None:
    secrets = ("nvidia", b"nvidia", "a", "", "hunter22")
    redactor = Redactor(() if learned else secrets)
    for secret in secrets if learned else ():
        redactor.learn_secret(secret)
    assert redactor.redact_text("a hunter22 y") == "a [redacted] y"
    assert redacted({"nvidia.com/gpu": "2"}, redactor) == {"nvidia.com/gpu": "2"}


def test_a_secret_with_blanks_and_quotes() -> None:
    secret = 'pass "word"\\ & <more> é'
    redactor = Redactor([secret])
    assert redacted({"a": secret, "b": json.dumps(secret)}, redactor) == {"a": "[redacted]", "b": '"[redacted]"'}
    assert redactor.redact_text(json.dumps({"a": secret})) == '{"a": "[redacted]"}'


def test_a_secret_that_is_no_text() -> None:
    secret = bytes(range(250, 256)) * 6
    output = Redactor([secret]).redact_text(f"x {secret.hex()} {base64.b64encode(b'ab' + secret + b'c').decode()} y")
    assert secret.hex() not in output
    assert output.count("[redacted]") == 2


def test_a_pem_whose_body_is_no_base64() -> None:
    broken = "-----BEGIN PRIVATE KEY-----\n#not base64, but secret#\n-----END PRIVATE KEY-----"
    assert "but secret" not in Redactor([broken]).redact_text(f"x {broken} y #notbase64,butsecret#")


def test_letters_that_change_their_length_do_not_shift_what_is_redacted() -> None:
    text = f"İİİ İstanbul PASSWORD={RANDOM} after"
    assert Redactor().redact_text(text) == "İİİ İstanbul PASSWORD=[redacted] after"


# -- anybody's credentials ----------------------------------------------------------------------------------------

JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJlc2lnbmF0dXJl"
RANDOM = "x7Kp2mQ9vR4tZ8wB3nL6"


@pytest.mark.parametrize(
    ("text", "planted"),
    [
        (f"Authorization: Bearer {JWT}", JWT),
        (f"got token {JWT} back", JWT),
        (JWT[:-10], JWT[:60]),
        (f"authorization: bearer {RANDOM}", RANDOM),
        ("Authorization: Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA=="),
        (KEY, KEY[40:100]),
        (KEY[:300], KEY[40:100]),
        (base64.b64encode(KEY.encode()).decode(), base64.b64encode(KEY.encode()).decode()[60:120]),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\\nb3BlbnNzaC1rZXktdjEAAAAA\\n-----END", "b3BlbnNzaC1rZXktdjEAAAAA"),
        ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        (f"aws_secret_access_key = {RANDOM}{RANDOM}", RANDOM),
        (f"ghp_{RANDOM}{RANDOM}", RANDOM),
        (f"glpat-{RANDOM}", RANDOM),
        (f"nvapi-{RANDOM}{RANDOM}", RANDOM),
        (f"hf_{RANDOM}{RANDOM}", RANDOM),
        ("xoxb-1234567890-abcdef", "xoxb-1234567890-abcdef"),
        (f"https://user:{RANDOM}@registry.example/v2", RANDOM),
        (f"postgres://admin:{RANDOM}@db/x", RANDOM),
        (f"password={RANDOM}", RANDOM),
        (f"DB_PASSWORD={RANDOM}", RANDOM),
        (f"password: {RANDOM}", RANDOM),
        (f'{{"password":"{RANDOM}"}}', RANDOM),
        (f'{{\\"apiKey\\": \\"{RANDOM}\\"}}', RANDOM),
        (f"kubeadm join --token {RANDOM} --discovery", RANDOM),
        (f"--api-key={RANDOM}", RANDOM),
        (f"password=token={RANDOM}", RANDOM),
        ("kubeadm join x --token abcdef.0123456789abcdef", "0123456789abcdef"),
        ("bootstrap signer: abcdef.0123456789abcxyz", "0123456789abcxyz"),
        (f"k8s-aws-v1.{RANDOM}{RANDOM}", RANDOM),
        ('{"auths":{"nvcr.io":{"auth":"JG9hdXRodG9rZW46c2VjcmV0"}}}', "JG9hdXRodG9rZW46c2VjcmV0"),
        (f"DefaultEndpointsProtocol=https;AccountKey={RANDOM}{RANDOM}==", RANDOM),
    ],
)
@pytest.mark.parametrize("carrier", ["text", "json"])
def test_secrets_known_by_their_form_go(text: str, planted: str, carrier: str) -> None:
    if carrier == "text":
        output = Redactor().redact_text(text)
    else:
        output = Redactor().redact_body(json.dumps({"log": text}).encode(), JSON).decode()
    assert planted not in output
    assert "[redacted]" in output


@pytest.mark.parametrize(
    "value",
    [
        {"name": "DB_PASSWORD", "value": "x"},
        {"name": "NGC_API_KEY", "value": "short"},
        {"password": "x"},
        {"clientSecret": "x"},
        {"spec": {"token": "abc"}},
        ["serve", "--token", "x"],
    ],
)
def test_fields_and_variables_named_like_secrets_are_emptied(value: Any) -> None:
    output = json.dumps(redacted(value))
    assert "[redacted]" in output
    assert not {'"x"', '"short"', '"abc"'} & set(output.replace("}", " ").replace("]", " ").replace(",", " ").split())


BENIGN = [
    "1 of 2 nodes advertise nvidia.com/gpu",
    "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 node(s) didn't match Pod's node affinity/selector.",
    "token-file=/var/run/secrets/kubernetes.io/serviceaccount/token",
    "--token-auth-file=/etc/x --service-account-key-file=/etc/kubernetes/pki/sa.pub",
    "MountVolume.SetUp succeeded for volume kube-api-access-x7kp2",
    'secret "webhook-tls" not found',
    "tokenExpirationSeconds: 3607",
    "Bearer token is missing",
    "failed to list *v1.Secret: secrets is forbidden",
    "password: null",
    "image registry.k8s.io/pause:3.10 with digest sha256:" + "0f" * 32,
    "nvidia-device-plugin-daemonset-x7kp2 0000:01:00.0 Tesla T4",
    "uid 18db0e85-99e9-c746-8531-ffeb86328b39 resourceVersion 812",
    "2026-11-24T01:02:03.123456789Z stdout F NVIDIA-SMI 580.126.20",
    "basic authentication is off",
    "https://kubernetes.default.svc:443/api",
    "kind: Secret",
    "Event worker.17f3c09a1b2d4e5f and gpu-0.17f3c09a1b2d4e5f",
    "PodSecurity \"restricted:latest\"",
    "a-very-long-name-of-an-ordinary-object-that-goes-on-and-on-for-ever",
]  # fmt: skip


@pytest.mark.parametrize("text", BENIGN)
def test_ordinary_text_survives(text: str) -> None:
    redactor = Redactor([TOKEN, KEY])
    assert redactor.redact_text(text) == text
    assert redacted({"message": text}, redactor) == {"message": text}


def test_ordinary_fields_survive() -> None:
    value = {
        "automountServiceAccountToken": True,
        "secretName": "tls",
        "imagePullSecrets": [{"name": "regcred"}],
        "tokenExpirationSeconds": 3607,
        "env": [{"name": "TOKEN_FILE", "value": "/x"}, {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}],
        "capacity": {"nvidia.com/gpu": "2", "memory": "15Gi"},
        "volumes": [{"secret": {"secretName": "a"}}],
    }
    assert redacted(value) == value


def test_lines_of_a_foreign_key_in_a_followed_log_go() -> None:
    for line in KEY.splitlines()[1:-1]:
        assert Redactor().redact_body(line.encode(), "text/plain") == b"[redacted]"
    digest = "0f" * 32
    assert Redactor().redact_body(digest.encode(), "text/plain") == digest.encode()


# -- media types --------------------------------------------------------------------------------------------------


def test_a_log_that_looks_like_json_keeps_its_form() -> None:
    log = b'{"level": "info",  "n": 1}\n{"level": "info", "ip": "10.0.0.7"}\n'
    assert Redactor().redact_body(log, "text/plain") == log.replace(b"10.0.0.7", b"ip-1")


@pytest.mark.parametrize("kind", [JSON, "application/json;as=Table;v=v1;g=meta.k8s.io", "application/openapi+json", ""])
def test_json_types(kind: str) -> None:
    assert Redactor().redact_body(b'{"a": "10.0.0.7"}', kind) == b'{"a":"ip-1"}'


@pytest.mark.parametrize(
    "body", [b'{"a":1,"a":2}', b'{"a":NaN}', b"<html>", b'{"a":"cut', b"\xff\xfe", b"", b'"\\ud800"']
)
def test_what_is_no_strict_json_does_not_become_json(body: bytes) -> None:
    assert Redactor().redact_body(body, JSON) == body.decode("utf-8", "replace").encode()


# -- properties ---------------------------------------------------------------------------------------------------

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(max_size=12))
KEYS = st.sampled_from(["metadata", "name", "kind", "items", "object", "rows", "cells", "a", "b"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(KEYS, inner),
    ),
    max_leaves=20,
)  # fmt: skip


REPEATED = [
    "1", "1.", "1.1.1.1.", ":", "::", "a:", "f::", "-", "-1", "1-1-1-1.", "eyJ", "eyJaaaaaaaa.", "Bearer%20", "Bearer ",
    "Basic ", "sk-", "token=", "token:", "token: ", "--token ", "password", '"password":"', "\\", "\\n", "%2F", " ",
    "\n", "-----BEGIN PRIVATE KEY-----", "ip-1", "ip-1-1-1-1.", "node-", "GPU-", "serial: ", "://", "://a:", "ghp_",
    '"auth":"', "authorization: ", "[redacted]", "expir", "kind: Secret\n", "kind: Secret\ndata:\n", "data: {",
    "abcdef.", "LS0tLS1CRUdJTi",
]  # fmt: skip


@pytest.mark.parametrize("piece", REPEATED)
def test_no_text_takes_long(piece: str) -> None:
    text = "kind: Secret 10.0.0.7 " + piece * (60_000 // len(piece)) + "x"
    started = time.process_time()
    OURS.redact_text(text)
    OURS.redact_body(json.dumps({text: text, "name": text, "value": text}).encode(), JSON)
    OURS.restore_text(text)
    assert time.process_time() - started < 3


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_any_json_stays_json(value: Any) -> None:
    json.loads(Redactor().redact_body(json.dumps(value).encode(), JSON))


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_redacting_in_a_second_run_changes_nothing(value: Any) -> None:
    once = Redactor().redact_body(json.dumps(value).encode(), JSON)
    assert Redactor().redact_body(once, JSON) == once


@given(st.binary(max_size=200), st.sampled_from([JSON, "text/plain", ""]))
@settings(max_examples=200, deadline=None)
def test_nothing_makes_it_stumble(body: bytes, kind: str) -> None:
    OURS.redact_body(body, kind)


@given(
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=20, max_size=60).filter(
        lambda secret: len(set(secret.strip())) > 8 and len(secret.strip()) >= 20
    ),
    st.text(max_size=10),
    st.text(max_size=10),
)
@settings(max_examples=100, deadline=None)
def test_no_random_secret_survives(secret: str, before: str, after: str) -> None:
    secret = secret.strip()
    redactor = Redactor([secret])
    for form in encodings(secret).values():
        for output in (
            redactor.redact_text(before + form + after),
            redactor.redact_body(json.dumps({"a": before + form + after}).encode(), JSON).decode(),
        ):
            assert form not in output
            assert secret not in output


def test_a_secret_learned_later_is_redacted_from_then_on() -> None:
    redactor = Redactor()
    body = b'{"kind": "Pod", "note": "a-plugins-long-token"}'
    assert b"a-plugins-long-token" in redactor.redact_body(body, "application/json")
    redactor.learn_secret("a-plugins-long-token")
    assert b"a-plugins-long-token" not in redactor.redact_body(body, "application/json")


def test_the_rest_of_a_list_spells_no_node_out_and_is_found_again() -> None:
    redactor = Redactor()
    rest = base64.urlsafe_b64encode(
        b'{"v":"meta.k8s.io/v1","rv":7,"start":"ip-10-0-3-17.ec2.internal\\u0000"}'
    ).decode()
    seen = redacted({"kind": "NodeList", "metadata": {"continue": rest, "resourceVersion": "7"}, "items": []}, redactor)
    assert seen["metadata"] == {"continue": "serial-1", "resourceVersion": "7"}
    assert redactor.restore_text("serial-1") == rest

"""Two model servers without a model, a pool of both, upstream's endpoint picker, and a route to the pool."""

from __future__ import annotations

import json
from typing import Any

from aiconform.local import Cluster
from aiconform.local.images.table import IMAGES
from aiconform.local.inference_suite import trust

Obj = dict[str, Any]

NAMESPACE = "picked"
GROUP = "inference.networking.k8s.io"
CALM, BUSY = "calm", "busy"

_SERVER = """
import http.server, json, os
NAME, WAITING = os.environ["NAME"], os.environ["WAITING"]
class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, kind, text):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
    def do_GET(self):
        gauges = {"vllm:num_requests_waiting": WAITING, "vllm:num_requests_running": WAITING,
                  "vllm:kv_cache_usage_perc": "0.9" if WAITING != "0" else "0"}
        lines = [f"# TYPE {key} gauge\\n{key}{{model_name=\\"m\\"}} {value}\\n" for key, value in gauges.items()]
        self.answer("text/plain; version=0.0.4", "".join(lines))
    def do_POST(self):
        length = self.headers["Content-Length"]
        if length is None:  # a picker that reads a body passes it on in pieces
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
        self.rfile.read(int(length) if length else 2)
        self.answer("application/json", json.dumps({"served_by": NAME}))
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("", 8000), Server).serve_forever()
"""
"""Speaks those of vLLM's metrics which the picker scores servers by, and says who answered."""

_CLIENT = """
import collections, json, sys, urllib.request
body = json.dumps({"model": "m", "prompt": "%d", "max_tokens": 1})
seen = collections.Counter()
for number in range(int(sys.argv[2])):
    data = (body % number).encode()
    request = urllib.request.Request(sys.argv[1] + "/v1/completions", data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            seen[json.load(answer)["served_by"]] += 1
    except urllib.error.HTTPError as error:
        seen[str(error.code)] += 1
    except OSError as error:  # no answer at all, as while the gateway's name or its endpoints are new
        seen[type(error).__name__] += 1
print(json.dumps(seen))
"""

_CONFIG = """
apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: queue-scorer}
  - {pluginRef: kv-cache-utilization-scorer}
"""


def objects(gateway_class: str, failure_mode: str = "FailClose") -> list[Obj]:
    """Everything but the namespace."""
    made = [*_picker(), trust("picker", NAMESPACE), _gateway(gateway_class), _pool(failure_mode), _route()]
    made += [_pod(CALM, _SERVER, {"NAME": CALM, "WAITING": "0"}), _pod(BUSY, _SERVER, {"NAME": BUSY, "WAITING": "50"})]
    return [*made, _pod("client", "import time; time.sleep(3600)", {}, app="client")]


def apply(cluster: Cluster, things: list[Obj]) -> None:
    """Make them in the namespace."""
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    for item in things:
        item["metadata"].setdefault("namespace", NAMESPACE)
    stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": [space, *things]})
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=stdin)


def asked(cluster: Cluster, number: int) -> dict[str, int]:
    """Who answered so many requests through the Gateway: servers by name, else the status or the exception."""
    gateway = cluster.api.get(f"/apis/gateway.networking.k8s.io/v1/namespaces/{NAMESPACE}/gateways/gateway")
    url = f"http://{gateway['status']['addresses'][0]['value']}"
    client = ("exec", f"--namespace={NAMESPACE}", "client", "--", "python3", "-c", _CLIENT, url, str(number))
    found: dict[str, int] = json.loads(cluster.kubectl(*client))
    return found


def _pod(name: str, program: str, environment: dict[str, str], app: str = "model") -> Obj:
    container = {
        "name": "c",
        "image": IMAGES["python"].reference,
        "command": ["python3", "-c", program],
        "env": [{"name": key, "value": value} for key, value in environment.items()],
    }
    if app == "model":
        container["readinessProbe"] = {"httpGet": {"path": "/metrics", "port": 8000}, "periodSeconds": 1}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": app}}, "spec": spec}


def _picker() -> list[Obj]:
    probe = {"grpc": {"port": 9003, "service": "inference-extension"}, "periodSeconds": 1}
    arguments = ["--pool-name=pool", f"--pool-namespace={NAMESPACE}", "--config-file=/config/config.yaml"]
    container = {
        "name": "epp",
        "image": IMAGES["inference-epp"].reference,
        "args": [*arguments, "--grpc-port=9002", "--grpc-health-port=9003"],
        "readinessProbe": probe,
        "volumeMounts": [{"name": "config", "mountPath": "/config"}],
    }
    pod = {"containers": [container], "volumes": [{"name": "config", "configMap": {"name": "picker"}}]}
    meta, labels = {"name": "picker"}, {"app": "picker"}
    template = {"metadata": {"labels": labels}, "spec": {**pod, "terminationGracePeriodSeconds": 0}}
    verbs = ["get", "list", "watch"]
    rules = [
        {"apiGroups": [GROUP, "inference.networking.x-k8s.io"], "resources": ["*"], "verbs": verbs},
        {"apiGroups": [""], "resources": ["pods"], "verbs": verbs},
    ]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "picker"}
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": NAMESPACE}
    rbac = "rbac.authorization.k8s.io/v1"
    port = {"port": 9002, "targetPort": 9002, "appProtocol": "http2"}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": dict(meta), "data": {"config.yaml": _CONFIG}},
        {"apiVersion": rbac, "kind": "Role", "metadata": dict(meta), "rules": rules},
        {"apiVersion": rbac, "kind": "RoleBinding", "metadata": dict(meta), "roleRef": role, "subjects": [subject]},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": dict(meta),
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        },
        {"apiVersion": "v1", "kind": "Service", "metadata": dict(meta), "spec": {"selector": labels, "ports": [port]}},
    ]


def _gateway(gateway_class: str) -> Obj:
    listener = {"name": "http", "protocol": "HTTP", "port": 80}
    spec = {"gatewayClassName": gateway_class, "listeners": [listener]}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "gateway"},
        "spec": spec,
    }


def _pool(failure_mode: str) -> Obj:
    spec = {
        "selector": {"matchLabels": {"app": "model"}},
        "targetPorts": [{"number": 8000}],
        "endpointPickerRef": {"name": "picker", "port": {"number": 9002}, "failureMode": failure_mode},
    }
    return {"apiVersion": f"{GROUP}/v1", "kind": "InferencePool", "metadata": {"name": "pool"}, "spec": spec}


def _route() -> Obj:
    backend = {"group": GROUP, "kind": "InferencePool", "name": "pool"}
    spec = {"parentRefs": [{"name": "gateway"}], "rules": [{"backendRefs": [backend]}]}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "route"},
        "spec": spec,
    }

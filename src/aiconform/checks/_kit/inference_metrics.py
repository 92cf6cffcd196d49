"""An inference-shaped service whose metrics a Prometheus collects: what it says itself, and what was collected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiconform.checks._kit import pods, prometheus, prometheus_operator, workloads
from aiconform.checks._kit.prometheus import Monitoring, Sample
from aiconform.checks._kit.workloads import Batch, Workload
from aiconform.engine import Context, Series, State, UndecidableError, kinds

Obj = dict[str, Any]

REQUESTS = "inference_requests_total"
DURATION = "inference_request_duration_seconds"
QUEUE = "inference_queue_depth"
LAST = "process_start_time_seconds"
"""What the page ends with; without it the page is not whole."""
WINDOW_S = 10
WINDOWS = 2
"""Nothing is said to be collected, or not, before Prometheus has had so many occasions."""
COLLECTED_S = 45
"""Within which a value is collected: the monitor asks for it every second."""
SETTLED_S = 5
"""How long a count must stay what it is: several collections."""


@dataclass(frozen=True)
class Service:
    """A workload with one pod; its job, in Prometheus' sense, is named like its Kubernetes Service.

    Attributes:
        marks: labels by which its series are known where they are not those of a monitor.
    """

    workload: Workload
    pod: str
    uid: str
    marks: tuple[tuple[str, str], ...] = ()

    @property
    def job(self) -> str:
        """Name of its Service."""
        return self.workload.service.name

    def of_pod(self, metric: str, **labels: str) -> str:
        """The query for a metric of its pod, under its job, with further labels."""
        by_monitor = {"job": self.job, "namespace": self.workload.service.namespace, "pod": self.pod}
        wanted = {**(dict(self.marks) or by_monitor), **labels}
        chosen = ",".join(f'{key}="{value}"' for key, value in wanted.items())
        return f"{metric}{{{chosen}}}"

    @property
    def anywhere(self) -> str:
        """The query for whatever is known of it: of its job, or of its pod under any job."""
        return f'{{job="{self.job}"}} or {{__name__=~"inference_.+",pod="{self.pod}"}}'

    @property
    def by_model(self) -> str:
        """Likewise by the name that it gives itself, whatever labels are added."""
        return f'{{__name__=~"inference_.+",model="{self.workload.app}"}}'


async def service(ctx: Context, hint: str) -> Service:
    """Create a service with one pod, and see that it tells of requests, their duration and its queue."""
    workload = await workloads.serve(ctx, hint)
    made = await _running(ctx, workload)
    said = await own_metrics(ctx, made)
    names = (REQUESTS, f"{DURATION}_bucket", f"{DURATION}_count", QUEUE)
    ctx.expect(
        f"the pod's own page has {REQUESTS} and {DURATION}_count at 0, and {QUEUE}",
        ", ".join(f"{name} {said[name]:g}" if name in said else f"no {name}" for name in names),
        ok=all(name in said for name in names) and said[REQUESTS] == said[f"{DURATION}_count"] == 0,
    )
    return made


async def _running(ctx: Context, workload: Workload, *, other_than: str = "") -> Service:
    """Its one pod, once it is ready."""

    def one_ready(objects: list[Obj]) -> State:
        if not objects:
            return workloads.NO_POD
        if any(map(pods.taken, objects)):
            return pods.running(objects)
        names = ", ".join(found["metadata"]["name"] for found in objects)
        if len(objects) != 1 or objects[0]["metadata"]["uid"] == other_than:
            return State("waiting", f"pods: {names}")
        if not _ready(objects[0]):
            state = pods.running(objects)
            return State("waiting", f"{names} is not ready") if state.outcome == "met" else state
        return State("met", f"{names} is ready on {objects[0]['spec'].get('nodeName')}")

    expected = "one pod, another than before, is ready" if other_than else "its pod is ready"
    where, why = workloads.pods_of(ctx, workload), workloads.why_no_pods(ctx, workload)
    found = await ctx.until(where, one_ready, expected=expected, within_s=150, explain=why)
    return Service(workload, found[0]["metadata"]["name"], found[0]["metadata"]["uid"])


def _ready(pod: Obj) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    ready = any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


async def own_metrics(ctx: Context, made: Service) -> dict[str, float]:
    """What the pod itself says, asked through the API server."""
    place = kinds.POD.path(made.workload.service.namespace, f"{made.pod}:{workloads.PORT}", "proxy")
    said = prometheus.samples(await ctx.text(f"{place}/metrics"))
    if LAST not in said:
        raise UndecidableError(f"the page of metrics of {made.pod} is not whole: no {LAST}")
    return said


async def made_known(ctx: Context, monitoring: Monitoring, made: Service) -> Service:
    """Make a service known to Prometheus; by annotations it gets a new pod, which is the one to look at."""
    if monitoring.way == "annotations":
        return await _annotated(ctx, made)
    selector = {workloads.APP_LABEL: made.workload.app}
    await ctx.create(prometheus_operator.monitor(monitoring, ctx.name("monitor"), workloads.PORT_NAME, selector))
    return made


async def _annotated(ctx: Context, made: Service) -> Service:
    annotations = {f"prometheus.io/{key}": value for key, value in _SCRAPED.items()}
    change = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
    await ctx.patch(made.workload.deployment, change)
    now = await _running(ctx, made.workload, other_than=made.uid)
    return replace(made, pod=now.pod, uid=now.uid)


_SCRAPED = {"scrape": "true", "port": str(workloads.PORT), "path": "/metrics"}


async def never_collected(ctx: Context, monitoring: Monitoring, made: Service) -> None:
    """For a whole window Prometheus has no series of its job or its pod, while the pod serves its metrics."""
    query = made.by_model if monitoring.way == "annotations" else made.anywhere
    during_s = max(WINDOW_S, WINDOWS * monitoring.every_s)
    look = prometheus.absent(ctx, monitoring, query)
    await ctx.hold(look, expected=f"no series of {query} for {during_s:g} s", during_s=during_s)
    said = await own_metrics(ctx, made)
    ctx.expect("meanwhile the pod serves its metrics", f"{REQUESTS} {_number(said)}", ok=REQUESTS in said)


async def collected(ctx: Context, monitoring: Monitoring, made: Service, *, within_s: float) -> Service:
    """The service's pod is a target that is up; returns the service with the labels that its series carry."""
    if monitoring.way == "annotations":
        return await _marked(ctx, monitoring, made, within_s=within_s)
    await target_up(ctx, monitoring, made, within_s=within_s)
    return made


async def _marked(ctx: Context, monitoring: Monitoring, made: Service, *, within_s: float) -> Service:
    """Find the series of its pod by the name that it gives itself; and the target that they come from is up."""
    seen: list[Sample] = []

    async def look() -> State:
        found = await prometheus.query(ctx, monitoring, f'{QUEUE}{{model="{made.workload.app}"}}')
        mine = [one for one in found if made.pod in one.labels.values()]
        seen[:] = mine
        jobs = ", ".join(sorted(one.labels.get("job", "no job") for one in mine))
        return State("met" if mine else "waiting", f"{len(mine)} of {len(found)} series name the pod; jobs: {jobs}")

    expected = f"{monitoring.name} has {QUEUE} of {made.pod}, found by its annotations"
    await ctx.poll(look, expected=expected, within_s=within_s, every_s=2)
    labels = min(seen, key=lambda one: one.labels.get("job", "")).labels
    of_pod = next(name for name, value in sorted(labels.items()) if value == made.pod)
    marks = {"model": made.workload.app, of_pod: made.pod, "job": labels.get("job", "")}
    target = f'up{{job="{labels.get("job", "")}",instance="{labels.get("instance", "")}"}}'
    up = prometheus.equal(ctx, monitoring, target, 1)
    await ctx.poll(up, expected=f"{target} is 1", within_s=COLLECTED_S + WINDOWS * monitoring.every_s)
    return replace(made, marks=tuple(marks.items()))


async def target_up(ctx: Context, monitoring: Monitoring, made: Service, *, within_s: float) -> None:
    """The job has one target, this pod, and it is up."""
    namespace = made.workload.service.namespace

    async def look() -> State:
        found = await prometheus.query(ctx, monitoring, f'up{{job="{made.job}"}}')
        observed = "; ".join(f"up of {one.labels.get('pod', 'no pod')} is {one.value:g}" for one in found)
        strange = [one.labels.get("namespace") for one in found if one.labels.get("namespace") != namespace]
        if strange:
            return State("wrong", f"{observed}, of namespace {strange[0]}")
        if [(one.labels.get("pod"), one.value) for one in found] != [(made.pod, 1.0)]:
            return State("waiting", observed or "no target of the job")
        return State("met", observed)

    expected = f'up{{job="{made.job}"}} is 1, for pod {made.pod} alone'
    await ctx.poll(look, expected=expected, within_s=within_s)


async def ask(ctx: Context, made: Service, number: int, *, already: int) -> None:
    """Send requests from a pod of ours; all are answered, and the service itself has counted them."""
    url = f"http://{made.job}.{made.workload.service.namespace}.svc/v1/chat/completions"
    body = '{"model": "probe", "messages": []}'
    batch = Batch("requests", url, count=number, method="POST", body=body, headers={"Content-Type": "application/json"})
    seen = (await workloads.ask(ctx, "client", [batch]))["requests"]
    ctx.expect(
        f"{number} requests are answered 200 by {made.workload.app}",
        "; ".join(f"{times} times {status}" for status, times in seen.status.items())
        + f", answered by {', '.join(name or 'somebody else' for name in seen.served)}",
        ok=seen.status == {200: number} and seen.served == {made.workload.app: number},
    )
    said = await own_metrics(ctx, made)
    total = already + number
    ctx.expect(f"the pod itself has counted {total}", _number(said), ok=said.get(REQUESTS) == total)


def _number(said: Mapping[str, float], name: str = REQUESTS) -> str:
    return f"{said[name]:g}" if name in said else "nothing"


async def count(ctx: Context, monitoring: Monitoring, made: Service, *, waves: Sequence[int]) -> None:
    """Requests in waves, each of which Prometheus shows as exactly so many, in the counter and in the histogram."""
    points: list[tuple[float, float]] = []
    query = made.of_pod(REQUESTS)
    total = 0
    within_s = COLLECTED_S + WINDOWS * monitoring.every_s
    look = prometheus.equal(ctx, monitoring, query, 0, points=points, never_more=True)
    await ctx.poll(look, expected=f"before any request {query} is 0", within_s=within_s)
    for number in waves:
        await ask(ctx, made, number, already=total)
        total += number
        look = prometheus.equal(ctx, monitoring, query, total, points=points, never_more=True)
        await ctx.poll(look, expected=f"Prometheus has exactly {total}", within_s=within_s, every_s=0.5)
    await ctx.hold(look, expected=f"it stays {total} for {SETTLED_S} s", during_s=SETTLED_S)
    parts = {"_count": made.of_pod(f"{DURATION}_count"), "+Inf bucket": made.of_pod(f"{DURATION}_bucket", le="+Inf")}
    durations = {name: await prometheus.query(ctx, monitoring, query) for name, query in parts.items()}
    said = {name: [one.value for one in found] for name, found in durations.items()}
    ctx.expect(
        f"the histogram of durations has counted {total}, and its buckets are there",
        "; ".join(
            f"{name}: {', '.join(f'{value:g}' for value in values) or 'nothing'}" for name, values in said.items()
        ),
        ok=all(values == [total] for values in said.values()),
        figures={
            "requests counted": f"{total} of {total}",
            "95 % took at most": await _quantile(ctx, monitoring, made),
        },
        series=(Series("requests collected", "requests", tuple(points)),),
    )


async def _quantile(ctx: Context, monitoring: Monitoring, made: Service) -> str:
    buckets = made.of_pod(f"{DURATION}_bucket")
    found = await prometheus.query(ctx, monitoring, f"histogram_quantile(0.95, {buckets}) * 1000")
    return ", ".join(f"{one.value:.1f} ms" for one in found) or "unknown"


async def follow_queue(ctx: Context, monitoring: Monitoring, made: Service, *, depths: Sequence[int]) -> None:
    """The queue is told its depth, and Prometheus shows it."""
    points: list[tuple[float, float]] = []
    root = f"http://{made.job}.{made.workload.service.namespace}.svc"
    for depth in depths:
        seen = (await workloads.ask(ctx, "setter", [Batch("set", f"{root}/set?queue={depth}")]))["set"]
        ctx.expect(f"the queue is told to be {depth}", f"{seen.first_status}", ok=seen.first_status == 200)
        said = await own_metrics(ctx, made)
        ctx.expect(f"the pod itself says {depth}", _number(said, QUEUE), ok=said.get(QUEUE) == depth)
        look = prometheus.equal(ctx, monitoring, made.of_pod(QUEUE), depth, points=points)
        within_s = COLLECTED_S + WINDOWS * monitoring.every_s
        await ctx.poll(look, expected=f"{made.of_pod(QUEUE)} is {depth}", within_s=within_s, every_s=0.5)
    ctx.expect(
        f"the queue's depth was followed: {', '.join(map(str, depths))}",
        f"{points[-1][1]:g} at the end",
        ok=points[-1][1] == depths[-1],
        series=(Series("queue depth collected", "requests", tuple(points)),),
    )


async def replace_pod(ctx: Context, made: Service) -> Service:
    """Roll the Deployment over, as ``kubectl rollout restart`` does; the same service with its new pod."""
    restarted = {"aiconform.dev/restarted": ctx.name("at")}
    change = {"spec": {"template": {"metadata": {"annotations": restarted}}}}
    await ctx.patch(made.workload.deployment, change)
    now = await _running(ctx, made.workload, other_than=made.uid)
    return replace(made, pod=now.pod, uid=now.uid)

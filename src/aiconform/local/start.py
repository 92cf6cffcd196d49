"""Starts a local cluster: files, processes, then waiting until everything asked for is there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING

import yaml  # type: ignore[import-untyped]

from aiconform.errors import AiconformError, LocalClusterError
from aiconform.local import blueprint, boot, inotify, inspection, logs, parts, seed
from aiconform.local import k0s as distribution
from aiconform.local.api import Api, ApiError
from aiconform.local.cluster import Cluster, clear
from aiconform.local.node import kernel
from aiconform.local.profiles import Profile, profile
from aiconform.local.registration import Registration
from aiconform.local.state import ClusterState, Home, NodeState
from aiconform.local.supervisor import KEPT, READY
from aiconform.progress import Progress, Silent

if TYPE_CHECKING:
    from aiconform.local.addons.addon import Addon

MANIFESTS = Path(__file__).with_name("manifests")
LIMIT_S = 180.0
STOPPING_S = 5.0
"""How long ``up`` waits for a cluster of the same name that is being stopped."""


def up(
    name: str = "default",
    profile_name: str = "default",
    progress: Progress | None = None,
    *,
    owner_pid: int | None = None,
    port: int = 0,
    ready_made: boot.Parts | None = None,
    installers: Sequence[parts.Installer] | None = None,
    addons: Sequence[Addon] = (),
    expected: Sequence[Addon] = (),
    k0s: Path | None = None,
) -> Cluster:
    """Start a cluster, or find it running.

    Args:
        name: of the cluster; several can run at once.
        profile_name: which nodes it has, see :mod:`aiconform.local.profiles`.
        progress: told what is being done.
        owner_pid: the cluster ends with this process; None: it runs until :func:`aiconform.local.cluster.down`.
        port: of the API server on the machine's loopback; 0: a free one.
        ready_made: programs and images, instead of building or finding them in the cache.
        installers: of accelerators, instead of the profile's own.
        addons: installed once it is up; also into a cluster that runs already.
        expected: installed later by somebody else. Images of add-ons that are built are on the nodes from the start.
        k0s: a k0s binary that the nodes run, instead of upstream's control plane and kubelets.

    Returns:
        The cluster, with all nodes Ready and its add-ons installed.

    Raises:
        LocalClusterError: it cannot be started; nothing is left of the attempt.
        UsageError: the name or the profile is not valid.
    """
    progress = progress or Silent()
    home, wanted = Home.of(name), profile(profile_name)
    parts.require_root()
    given = _k0s(k0s)
    found = _running(home, wanted, given)
    if found is not None:
        _add(found, addons, progress)
        return found
    made, own = (
        (ready_made, [])
        if ready_made is not None
        else parts.collect(name, wanted, progress, parts.built_images([*addons, *expected]), given)
    )
    images = seed.ensure(made, progress)
    clear(home)
    inotify.check(len(wanted.nodes))
    with home.locked(create=True) as lock:
        if lock is None:
            raise _occupied(home)
        boots = _Boot(home, wanted, progress, owner_pid, images)
        try:
            cluster = boots.run(lock, port, made, own if installers is None else installers)
        except AiconformError as error:
            raise _with_logs(error, boots.keep_logs()) from error
        except OSError as error:
            raise LocalClusterError(
                f"cannot start local cluster {name!r}: {error}", hint=f"check the space and rights of {home.directory}"
            ) from error
        finally:
            boots.release()
    _add(cluster, addons, progress)
    return cluster


def _add(cluster: Cluster, addons: Sequence[Addon], progress: Progress) -> None:
    """Install add-ons, those that are installed already too: that repairs what was broken."""
    if not addons:
        return
    from aiconform.local.addons.arrivals import Arrivals

    with Arrivals(cluster, addons, {}, progress) as arrivals:
        failed = arrivals.wait()
    if failed:
        raise LocalClusterError(
            f"local cluster {cluster.name!r} runs, but without {', '.join(failed)}",
            details=list(failed.values()),
            hint=f"aiconform local kubectl --name {cluster.name} -- get pods,events --all-namespaces",
        )


def _k0s(program: Path | None) -> Path | None:
    """The k0s binary, once it is known to be one: nothing is built or stopped for a wrong path."""
    if program is None:
        return None
    distribution.version(program)
    return program.resolve()


def _running(home: Home, wanted: Profile, given_k0s: Path | None) -> Cluster | None:
    if not home.ready_file.exists() or _forsaken(home.read()):
        home.wait_gone(STOPPING_S)
    state = home.read()
    if not home.alive():
        return None
    if state is None or not home.ready_file.exists() or _forsaken(state):
        raise _occupied(home)
    if state.owner_pid not in (None, os.getpid()):
        raise LocalClusterError(
            f"local cluster {home.name!r} belongs to another run (process {state.owner_pid}), and ends with it",
            hint="choose another --name, or wait for that run",
        )
    if state.profile != wanted.name:
        raise LocalClusterError(
            f"local cluster {home.name!r} runs already, with profile {state.profile}",
            hint="stop it with `aiconform local down`, or choose another --name",
        )
    if given_k0s is not None and distribution.PROGRAM not in state.versions:
        raise LocalClusterError(
            f"local cluster {home.name!r} runs already, without k0s",
            hint="stop it with `aiconform local down`, or choose another --name",
        )
    return Cluster(home, state)


def _forsaken(state: ClusterState | None) -> bool:
    """Whether the cluster is ending because its owner did."""
    return state is not None and state.owner_pid is not None and not kernel.lives(state.owner_pid)


def _occupied(home: Home) -> LocalClusterError:
    return LocalClusterError(
        f"local cluster {home.name!r} is being started or stopped by another process",
        hint=f"wait for it, or choose another --name; `aiconform local down --name {home.name}` ends it",
    )


def _with_logs(error: AiconformError, place: Path | None) -> AiconformError:
    """The same error, with the place where the logs were kept."""
    if place is None:
        return error
    return type(error)(error.message, details=[*error.details, f"logs kept in {place}"], hint=error.hint)


def _answers(api: Api, path: str) -> bool:
    try:
        api.text(path)
    except ApiError:
        return False
    return True


class _Boot:
    """One attempt to start a cluster. Until the cluster is told that it is ready, its end is the cluster's."""

    def __init__(self, home: Home, wanted: Profile, progress: Progress, owner_pid: int | None, images: Path) -> None:
        self._home = home
        self._profile = wanted
        self._progress = progress
        self._owner_pid = owner_pid
        self._images = images
        self._pipe = -1
        self._janitor: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._begun = time.monotonic()
        self._given_up = threading.Event()

    def run(self, lock: int, port: int, made: boot.Parts, installers: Sequence[parts.Installer]) -> Cluster:
        self._progress.update("starting Kubernetes", waiting="processes")
        with socket.create_server(("127.0.0.1", port)) as listener:
            state = ClusterState(
                name=self._home.name,
                profile=self._profile.name,
                port=listener.getsockname()[1],
                boot_id=kernel.boot_id(),
                created=time.time(),
                nodes=tuple(NodeState(spec.name, index) for index, spec in enumerate(self._profile.nodes)),
                owner_pid=self._owner_pid,
                versions=made.versions,
            )
            specs = {spec.name: spec for spec in self._profile.nodes}
            boot.write(self._home, state, specs, made, listener.fileno())
            for node in state.nodes:
                seed.plant(self._images, self._home.node(node.name) / "containerd")
            blueprint.remember(self._home, made, self._images)
            self._start_janitor(lock, listener.fileno())
        cluster = Cluster(self._home, state, fresh=True)
        api = self._wait_for_api()
        self._apply_base(api)
        self._install(cluster, installers)
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self._wait("the default service account", lambda: _answers(api, account))  # pods are refused without it
        os.write(self._pipe, READY)
        self._wait("the supervisor to take over", self._home.ready_file.exists)
        self._progress.finished("local cluster ready", f"{time.monotonic() - self._begun:.1f} s")
        return cluster

    def keep_logs(self) -> Path | None:
        """Keep the logs of an attempt that failed; where they are, None if there are none or they cannot be kept."""
        if self._janitor is not None and self._janitor.poll() == KEPT:  # it removed them, and has the copy
            return logs.kept(self._home.name)
        try:
            return logs.keep(self._home)
        except OSError:  # a full disk may be why the attempt failed: what is told is that
            return None

    def release(self) -> None:
        """Let go of the cluster: if it is not ready by now, it ends, and this waits until nothing is left."""
        if self._pipe >= 0:
            os.close(self._pipe)
        if self._log is not None:
            self._log.close()
        if self._janitor is None or not self._home.ready_file.exists():
            if self._janitor is not None:
                self._janitor.wait()
            self._home.remove()
        else:
            self._janitor.returncode = 0  # it outlives us on purpose; Python would warn of a forgotten process

    def _start_janitor(self, lock: int, listener: int) -> None:
        reader, self._pipe = os.pipe2(os.O_CLOEXEC)
        self._log = (self._home.logs / "supervisor.log").open("a+b")
        self._janitor = subprocess.Popen(
            [sys.executable, "-m", "aiconform.local.supervisor", self._home.name],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            cwd="/",
            start_new_session=True,
            pass_fds=(lock, listener, reader),
            env={**os.environ, "OWNER_FD": str(reader), "LISTEN_FD": str(listener)},
        )
        os.close(reader)

    def _wait_for_api(self) -> Api:
        api = Api(self._home.kubeconfig)

        self._wait("the API server", lambda: _answers(api, "/readyz"))
        self._progress.finished("API server ready", f"{time.monotonic() - self._begun:.1f} s")
        return api

    def _apply_base(self, api: Api) -> None:
        for thing in yaml.safe_load_all((MANIFESTS / "base.yaml").read_text()):
            api.apply(thing)

    def _install(self, cluster: Cluster, installers: Sequence[parts.Installer]) -> None:
        """Install the add-ons while the nodes register."""
        nodes = Registration(cluster)

        def register() -> None:
            self._wait("nodes", nodes.finished, nodes.waiting)
            seconds = f"{time.monotonic() - self._begun:.1f} s"
            self._progress.finished(f"{len(cluster.state.nodes)} nodes Ready", seconds)

        with ThreadPoolExecutor(1) as pool:
            registered = pool.submit(register)
            try:
                for install in installers:
                    install(cluster, self._profile, self._progress)
                registered.result()
            except BaseException:
                self._given_up.set()  # or the pool would wait for nodes that may never come
                raise

    def _wait(self, what: str, happened: Callable[[], bool], still: Callable[[], str] = str) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not happened():
            self._progress.update("starting Kubernetes", waiting=still() or what)
            if self._janitor is not None and self._janitor.poll() is not None:
                raise self._failure(f"the local cluster ended while waiting for {what}")
            if time.monotonic() > deadline:
                raise self._failure(f"the local cluster did not come up: no {what} within {LIMIT_S:.0f} s")
            if self._given_up.wait(0.05):
                return

    def _failure(self, message: str) -> AiconformError:
        details: list[str] = []
        if self._log is not None:  # still open, so readable even after the janitor has removed it
            self._log.seek(0)
            details = self._log.read().decode(errors="replace").splitlines()[-12:]
        for spec in self._profile.nodes:
            for name, entry in inspection.service_report(self._home.node(spec.name)).items():
                if entry["last_end"]:
                    details.append(f"{spec.name}: {name} ended {entry['restarts']} times, last by {entry['last_end']}")
                    details += [f"  {line}" for line in entry["tail"]]
        return LocalClusterError(message, details=details[:40])

"""What is proved in the live cluster, step by step, from the generated repository to its pods."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from cookiecutter.main import cookiecutter
from delivery import layouts
from delivery.test_release import IDENTITY, Checkout, script
from deploy.test_network import ACTORS, NOT_OURS, Actor, allowed, pod
from live import cluster as node
from live.cluster import Base, LiveError, until
from services.image import Buildah
from support import ROOT, run, with_facts

from tools import fetch, vulnerabilities
from tools.argocd import ArgoCD

# Not the default answers. All steps are for the first set; the others go a shorter way.
SETS = {
    "helm": {"manifests": "helm", "notifications": "slack-and-email", "license": "MIT"},
    "kustomize": {"manifests": "kustomize", "container_registry": "ghcr"},
    "canary": {"rollout": "canary", "compute": "auto-mode", "notifications": "slack-and-email"},
}
SOURCE = "src/routes/greetings.ts"
# The Applications of the platform that hold no chart.
OURS = ("platform-policies", "platform-config", "platform-monitoring")
Object = dict[str, Any]


def facts(registry: str = node.REGISTRY, load_balancer: str = "10.0.240.0/20") -> dict[str, str]:
    """Return what the environments of the repository shall know."""
    return {
        "gitRepository": "git://127.0.0.1/acme-shop",
        "registry": registry,
        "loadBalancerCidr": load_balancer,
    }


def prepare(home: Path, answers: dict[str, str], known: dict[str, str]) -> None:
    """Do what needs the network: generate the repository, install what its checks need, build its image."""
    programs = fetch.commands()
    options = {"no_input": True, "extra_context": answers, "output_dir": str(home / "generated")}
    generated = Path(cookiecutter(str(ROOT), **options))
    path = with_facts(generated, home / "checkout", known)
    run("npm", "ci", "--no-audit", "--no-fund", cwd=path / "checks", path=programs)
    run("git", "init", "--quiet", "--initial-branch=main", cwd=path)
    run("git", "add", "--all", cwd=path)
    run("git", *IDENTITY, "commit", "--quiet", "--message=Start from Slipway", cwd=path)
    origin = home / "git/acme-shop"
    run("git", "clone", "--quiet", "--bare", path, origin, cwd=home)
    run("git", "remote", "add", "origin", origin, cwd=path)
    run("git", "fetch", "--quiet", "origin", cwd=path)
    scratch = home / "images"
    scratch.mkdir()
    engine = Buildah(scratch, fetch.program("node"))
    revision = run("git", "rev-parse", "--short=12", "HEAD", cwd=path).stdout.strip()
    image = engine.build(
        path / "services/orders", SERVICE_VERSION="0.1.0", SERVICE_REVISION=revision
    )
    engine.layout(image, home / "image", "arm64")
    engine.close()
    vulnerabilities.make(home / "trivy", [])


def settings_of(repository: Path) -> dict[str, str]:
    """Return the settings that a repository gives to Argo CD's chart."""
    values = yaml.safe_load((repository / "deploy/platform/argo-cd/values.yaml").read_text("utf-8"))
    given = values["argo-cd"]["configs"]["cm"]
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in given.items()
    }


def bootstrap(argocd: ArgoCD, repository: Path) -> None:
    """Give Argo CD what `make bootstrap` gives it."""
    build = (fetch.program("kustomize"), "build", "deploy/argocd/overlays/dev")
    argocd.cluster.kubectl(
        *("apply", "--server-side", "--selector=bootstrap=true", "--filename=-"),
        stdin=run(*build, cwd=repository).stdout,
    )


def bring_charts(argocd: ArgoCD, repository: Path) -> None:
    """Bring all that services wait for."""
    bootstrap(argocd, repository)

    def synced() -> bool:
        every = argocd.applications()
        return all(
            every.get(name, {}).get("status", {}).get("operationState", {}).get("phase")
            == "Succeeded"
            for name in OURS
        )

    argocd.wait("the platform is synced", 180, synced)
    argocd.report_for_charts()
    # Otherwise the waves behind them are looked at every few minutes.
    argocd.refresh()


class Live:
    """The repository, its cluster and its Argo CD."""

    def __init__(self, home: Path, cluster: Base, workload: str = "deployment") -> None:
        self.home = home
        self.cluster = cluster
        # The kind that has the service's pods.
        self.workload = workload
        self.figures: dict[str, float] = {}
        self.checkout = self._checkout()
        self.argocd = ArgoCD(home / "git", settings_of(self.checkout.path), cluster)

    def _checkout(self) -> Checkout:
        path = self.home / "checkout" / "acme-shop"
        state = self.home / "gh.json"
        state.write_text('{"labels": [], "issues": [], "calls": []}', encoding="utf-8")
        programs = self.home / "bin"
        programs.mkdir()
        tools = fetch.commands((*fetch.EVERYDAY, "cosign", "crane", "trivy"))
        for tool in tools.iterdir():
            (programs / tool.name).symlink_to(tool)
        script(programs / "gh", f'exec node "{path}/.github/scripts/testing/gh.js" "$@"')
        # It hands over what buildah has built, where BuildKit would have written it.
        script(
            programs / "docker",
            "for argument; do case $argument in *,dest=*) target=${argument#*,dest=};; esac; done\n"
            # Asked for anything else, it only says that it is there.
            f'[ -z "$target" ] || cp -r "{self.home}/image" "${{target%%,*}}"',
        )
        environment = {
            "GH_STATE": str(state),
            "COMMITTER": "release-app[bot]",
            "COSIGN_PASSWORD": "",
            "TRIVY_CACHE_DIR": str(self.home / "trivy"),
            "TRIVY_SKIP_DB_UPDATE": "true",
        }
        return Checkout(path, self.home / "git/acme-shop", environment, programs)

    # ------------------------------------------------------------------------ the way to the cluster

    def release(self) -> str:
        """Publish the image in the layout `image` as release.yml does, and return its digest."""
        checkout = self.checkout
        key = self.home / "cosign"
        if not key.with_suffix(".key").exists():
            run(
                checkout.programs / "cosign", "generate-key-pair", f"--output-key-prefix={key}",
                cwd=self.home, environment={"COSIGN_PASSWORD": ""},
            )  # fmt: skip
        source = checkout.main()
        _, outputs = checkout.script("build.js", "build/layouts", "orders")
        [image] = json.loads(outputs["images"])
        layout = checkout.path / "build/layouts/orders"
        report = self.home / f"report-{image['digest'][7:19]}"
        checkout.script("scan.js", layout, report)
        checkout.script("publish.js", "orders", image["digest"], layout, report, "--key", key)
        checkout.script("deploy.js", source, outputs["images"])
        return str(image["digest"])

    def change(self, name: str, files: dict[str, str], message: str) -> str:
        """Commit and push changed files of the service, and put them into the image; return its digest.

        They are a further layer on the image that the Dockerfile made: building needs a registry of
        packages, which is not in this network.
        """
        checkout = self.checkout
        checkout.git("fetch", "--quiet", "origin")
        checkout.git("checkout", "--quiet", "-B", "main", "origin/main")
        for path, text in files.items():
            (checkout.path / "services/orders" / path).write_text(text, encoding="utf-8")
        checkout.git("commit", "--quiet", "--all", f"--message={message}")
        checkout.git("push", "--quiet", "origin", "HEAD:main")
        revision = checkout.git("rev-parse", "--short=12", "HEAD")
        made = layouts.variant(
            self.home / "image", self.home / f"image-{name}",
            {f"app/{path}": text for path, text in files.items()},
            {"org.opencontainers.image.revision": revision},
        )  # fmt: skip
        first = self.home / "image"
        if not (self.home / "image-first").exists():
            first.rename(self.home / "image-first")
        else:
            shutil.rmtree(first)
        shutil.copytree(made, first)
        return self.release()

    def status(self, application: str, *path: str) -> Any:  # noqa: ANN401
        value = self.argocd.applications().get(application, {}).get("status", {})
        for key in path:
            value = value.get(key, {})
        return value

    def synced(self, application: str, revision: str = "") -> bool:
        """Say whether Argo CD has applied an Application, at a commit if one is named."""
        status = self.status(application)
        return bool(
            status.get("sync", {}).get("status") == "Synced"
            and status.get("operationState", {}).get("phase") == "Succeeded"
            and revision in ("", status["sync"].get("revision"))
        )

    def wait_synced(self, application: str, revision: str = "", seconds: float = 120) -> None:
        self.argocd.wait(
            f"{application} is synced", seconds, lambda: self.synced(application, revision)
        )

    def pods(self, namespace: str = "apps", selector: str = "") -> list[Object]:
        """Return the pods of a namespace that are not about to go."""
        options = [f"--selector={selector}"] if selector else []
        found = self.cluster.get("pods", f"--namespace={namespace}", *options)["items"]
        return [entry for entry in found if "deletionTimestamp" not in entry["metadata"]]

    def rolled_out(self, digest: str) -> bool:
        """Say whether all pods of the service are ready, and run an image."""
        found = self.cluster.get(self.workload, "orders", "--namespace=apps")
        state, generation = found["status"], found["metadata"]["generation"]
        image = found["spec"]["template"]["spec"]["containers"][0]["image"]
        # An HorizontalPodAutoscaler sets it.
        wanted = found["spec"].get("replicas", 0)
        return bool(
            image.endswith(digest)
            # A Rollout has it as text.
            and str(state.get("observedGeneration")) == str(generation)
            and state.get("phase", "Healthy") == "Healthy"
            and wanted
            == state.get("replicas")
            == state.get("updatedReplicas")
            == state.get("availableReplicas")
        )

    def address(self, service: str = "orders") -> str:
        found = self.cluster.get("service", service, "--namespace=apps")
        return str(found["spec"]["clusterIP"])

    # ------------------------------------------------------------------------ steps

    def first_release(self) -> str:
        """Build, scan, push and sign; write the digest to git."""
        digest = self.release()
        return f"orders@{digest[:19]} is scanned, signed, in the registry and in git"

    def install(self) -> str:
        """Start Argo CD, and give it what `make bootstrap` gives."""
        self.cluster.enter(self.argocd)
        bootstrap(self.argocd, self.checkout.path)
        for name in OURS:
            self.wait_synced(name)
        return "namespaces, quotas, policies, rules and dashboards are synced"

    def first_pods(self) -> str:
        """Let Argo CD bring the service, and wait for its pods."""
        self.argocd.report_for_charts()
        # Otherwise the waves behind them are looked at every few minutes.
        self.argocd.refresh()
        self.wait_synced("apps-orders", seconds=180)
        digest = self.released()
        until("orders is rolled out", lambda: self.rolled_out(digest), 180)
        pods = self.pods(selector="app.kubernetes.io/name=orders")
        enforced = self.cluster.get("namespace", "apps")["metadata"]["labels"]
        level = enforced["pod-security.kubernetes.io/enforce"]
        return f"{len(pods)} pods are ready under Pod Security {level}"

    def released(self) -> str:
        text = run(
            "git", "show", "main:deploy/apps/orders/overlays/dev/release.yaml",
            cwd=self.checkout.origin,
        ).stdout  # fmt: skip
        found = re.search(r"^  digest: (\S+)$", text, re.M)
        assert found, text
        return found[1]

    def change_under_load(self) -> str:
        """Push a change of the service; the new pods take over while requests come in."""
        if not self.cluster.given:
            # With metrics of its pods; a given cluster need not have a metrics-server.
            self.argocd.wait(
                "Argo CD calls the service healthy",
                90,
                lambda: self.status("apps-orders", "health", "status") == "Healthy",
            )
        text = (self.checkout.path / "services/orders" / SOURCE).read_text("utf-8")
        with self.cluster.load(f"http://{self.address()}/v1/greetings/Ada") as report:
            time.sleep(2)
            digest = self.change("changed", {SOURCE: f"{text}// Changed\n"}, "Change the service")
            pushed = time.monotonic()
            self.argocd.refresh()
            self.wait_synced("apps-orders", self.checkout.main())
            self.figures["push to synced"] = time.monotonic() - pushed
            until("the new image is rolled out", lambda: self.rolled_out(digest), 180)
            self.figures["push to new pods ready"] = time.monotonic() - pushed
            time.sleep(2)
        return self.no_failure(report)

    def no_failure(self, report: dict[str, Any]) -> str:
        results = report["results"]
        if set(results) != {"200"}:
            raise LiveError(f"requests failed: {results}")
        return (
            f"{results['200']:,} requests, none failed, the slowest took {report['slowest']:.2f} s"
        )

    def drift(self) -> str:
        """Change by hand what git says, and see it healed."""
        kubectl = self.cluster.kubectl
        started = time.monotonic()
        kubectl("delete", "networkpolicy", "default-deny", "--namespace=apps")
        kubectl(
            *("patch", "deployment", "orders", "--namespace=apps", "--type=json"),
            '--patch=[{"op": "replace", "path": "/spec/minReadySeconds", "value": 1}]',
        )

        def healed() -> bool:
            policy = kubectl("get", "netpol", "default-deny", "--namespace=apps", check=False)
            seconds = self.cluster.get("deployment", "orders", "--namespace=apps")["spec"]
            return policy.returncode == 0 and seconds.get("minReadySeconds") == 10

        until("what was changed by hand is healed", healed, 120)
        self.figures["drift to healed"] = time.monotonic() - started
        return "a deleted NetworkPolicy and a changed Deployment are as git says again"

    def bad_commit(self, seen: Callable[[], object] | None = None) -> str:
        """Release an image that crashes: the old pods stay, and a git revert restores.

        With `seen`, the revert waits until whoever watches says that he has seen it.
        """
        before = self.released()
        text = 'throw new Error("This version does not start");\n'
        with self.cluster.load(f"http://{self.address()}/v1/greetings/Ada") as report:
            digest = self.change("bad", {"src/server.ts": text}, "Break the service")
            self.argocd.refresh()

            def crashes() -> bool:
                return any(
                    status["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
                    for each in self.pods(selector="app.kubernetes.io/name=orders")
                    if each["spec"]["containers"][0]["image"].endswith(digest)
                    for status in each["status"].get("containerStatuses", [])
                )

            until("a pod of the bad image crashes", crashes, 180)
            if seen:
                until("Prometheus sees a pod that crashes", seen, 120)
            self.revert(2)
            until("the revert is rolled out", lambda: self.rolled_out(before), 180)
        return f"its pod crashed, a git revert took it away; {self.no_failure(report)}"

    def revert(self, count: int) -> None:
        """Revert the last commits, and push that."""
        checkout = self.checkout
        checkout.git("fetch", "--quiet", "origin")
        checkout.git("checkout", "--quiet", "-B", "main", "origin/main")
        checkout.git("revert", "--no-edit", *("HEAD", *(f"HEAD~{n}" for n in range(1, count))))
        checkout.git("push", "--quiet", "origin", "HEAD:main")
        self.argocd.refresh()

    def refused(self) -> str:
        """Start pods that break a policy."""
        image = f"{self.cluster.registry}/acme-shop/orders@{self.released()}"
        attempts: dict[str, Object] = {
            "violates PodSecurity": {"image": image, "securityContext": {"privileged": True}},
            "rule image-registry": {"image": "docker.io/library/nginx@sha256:" + "a" * 64},
            "rule image-by-digest": {"image": f"{self.cluster.registry}/acme-shop/orders:latest"},
            "No limit is specified": {"image": image, "resources": {}},
        }
        for message, container in attempts.items():
            spec = restricted(container.pop("image"), ["pause"])
            spec["containers"][0] |= container
            found = self.cluster.kubectl(
                *("create", "--namespace=apps", "--filename=-"),
                stdin=json.dumps(pod_object("bad", "apps", {}, spec)),
                check=False,
            )
            if found.returncode == 0 or message not in found.stderr:
                raise LiveError(f"not refused because of {message}: {found.stdout}{found.stderr}")
        return "a privileged pod, a foreign image, a tag and a missing limit are refused"

    # ------------------------------------------------------------------------ network

    def network(self) -> str:
        """Try every connection of the analyser's table for real, and compare."""
        actors = self.cluster.actors(
            {
                **ACTORS,
                "a thief of labels": pod(
                    30, "default", "prometheus", {}, **ACTORS["orders"].labels
                ),
            }
        )
        pods = self.start_actors(actors)
        # The analyser too shall judge the addresses that they have here.
        actors = {
            name: dataclasses.replace(actor, ip=pods[name]["ip"]) for name, actor in actors.items()
        }
        scratch = self.home / "analysis"
        scratch.mkdir()
        said = allowed(self.checkout.path, "dev", fetch.program("cyclonus"), scratch, actors=actors)
        # By its Service too, where the port of users is another one.
        service = self.address()
        questions: dict[str, dict[str, tuple[str, str]]] = {}
        for source, one in actors.items():
            if not pods[source].get("place"):
                continue
            asked = questions[source] = {}
            for target, other in actors.items():
                if source == target or {one.namespace, other.namespace} <= NOT_OURS:
                    continue
                for port, number in other.ports.items():
                    protocol = "udp" if port.endswith("/UDP") else "tcp"
                    asked[f"{protocol}:{pods[target]['ip']}:{number}"] = (target, port)
                    if target == "orders":
                        by_service = {"http": 80}.get(port, number)
                        asked[f"tcp:{service}:{by_service}"] = (target, port)
        # One that nothing but a policy stops.
        stranger, orders = pods["a pod of another namespace"], f"tcp:{pods['orders']['ip']}:8080"
        if self.cluster.given and self.cluster.connect(stranger["place"], [orders])[orders]:
            return (
                "ONLY THE ANALYSER SPOKE: no network policy is enforced here. "
                f"It says that {len(said)} connections are allowed; none was tried"
            )
        with ThreadPoolExecutor(4) as pool:
            answers = pool.map(
                lambda source: self.cluster.connect(pods[source]["place"], list(questions[source])),
                questions,
            )
        wrong, count = [], 0
        for source, found in zip(questions, answers, strict=True):
            for address, answered in found.items():
                target, port = questions[source][address]
                count += 1
                if answered != ((source, target, port) in said):
                    what = "answers" if answered else "nothing"
                    wrong.append(f"{source} -> {target} {port} ({address}): {what}")
        if wrong:
            raise LiveError("otherwise than the analyser says:\n" + "\n".join(wrong))
        return f"{count} connections tried, all as the analyser says ({len(said)} allowed)"

    def start_actors(self, actors: dict[str, Actor]) -> dict[str, dict[str, Any]]:
        """Start a pod for each actor; return their addresses, and from where to try each."""
        places: dict[str, dict[str, Any]] = {}
        items = []
        for name, actor in actors.items():
            if not actor.namespace:
                places[name] = {"ip": actor.ip}
            elif name != "orders":
                items.append(pod_of(self.cluster.probe_image, title(name), actor))
                items[-1]["metadata"]["labels"] = {**actor.labels, "live": "actor"}
        self.cluster.apply(*items)
        every = ("--all-namespaces", "--selector=live=actor")
        self.cluster.kubectl(
            "wait", "pod", *every, "--for=condition=Ready", "--timeout=110s", timeout=120
        )
        found = {
            each["metadata"]["name"]: each for each in self.cluster.get("pod", *every)["items"]
        }
        (found["orders"], *_) = self.pods(selector="app.kubernetes.io/name=orders")
        for name, actor in actors.items():
            if actor.namespace:
                one = found[title(name)]
                places[name] = {"ip": one["status"]["podIP"], "place": self.cluster.place(one)}
        places.get("a load balancer", {})["place"] = self.cluster.outside
        return places


def title(name: str) -> str:
    """Return the name of the pod of an actor."""
    return re.sub(r"\W+", "-", name.lower())


def restricted(image: str, arguments: list[str]) -> Object:
    """Return the specification of a pod that Pod Security `restricted` and our policies let in."""
    container = {
        "name": "probe",
        "image": image,
        "args": arguments,
        "resources": {"requests": {"cpu": "1m", "memory": "32Mi"}, "limits": {"memory": "32Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
    }


def pod_of(image: str, name: str, actor: Actor, idle: bool = False) -> Object:
    """Return a pod with the labels and ports of an actor, which listens there, or does nothing."""
    protocols = {port: "UDP" if port.endswith("/UDP") else "TCP" for port in actor.ports}
    serve = [f"{protocols[port].lower()}:{number}" for port, number in actor.ports.items()]
    spec = restricted(image, ["pause"] if idle else ["serve", *serve])
    spec["containers"][0]["ports"] = [
        {
            # Not all in the table are names that a port can have.
            **({"name": port} if re.fullmatch(r"[a-z][a-z0-9-]*", port) else {}),
            "containerPort": number,
            "protocol": protocols[port],
        }
        for port, number in actor.ports.items()
    ]
    return pod_object(name, actor.namespace, actor.labels, spec)


def pod_object(name: str, namespace: str, labels: dict[str, str], spec: Object) -> Object:
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

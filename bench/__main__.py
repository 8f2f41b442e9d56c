"""Measure the generated service beside its floors, and a bake beside an empty template.

One run measures everything; rounds alternate, and the median counts. Writes docs/performance.md.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tools import fetch, load
from tools.service import ServiceProcess

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "docs" / "performance.md"
ROUTE = "/v1/greetings/Ada"
CONNECTIONS = 50
SECONDS = int(os.environ.get("BENCH_SECONDS", "8"))
ROUNDS = 3
# Goals: throughput against bare Fastify, seconds to ready, seconds of a bake above its floor.
THROUGHPUT_GOAL, READY_GOAL, BAKE_GOAL = 0.85, 1.0, 1.0
# The numbers of services to render, and how much more each may cost when there are many.
SERVICES = (1, 10, 50)
GROWTH_GOAL = 1.3


def bake(template: Path, folder: Path, *answers: str) -> float:
    """Generate a repository with some answers; return the seconds that it took."""
    started = time.perf_counter()
    cookiecutter = Path(sys.executable).parent / "cookiecutter"
    subprocess.run(
        [cookiecutter, "--no-input", "--output-dir", folder, template, *answers],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


def measure_load(port: int) -> tuple[float, float]:
    """Put load on the route; return requests per second and the 99th percentile in ms.

    Raises:
        RuntimeError: a request failed, so the figures would mean nothing.
    """
    report = load.put(f"http://127.0.0.1:{port}{ROUTE}", CONNECTIONS, SECONDS, warm_up=2)
    if report["errors"] or report["non2xx"] or report["timeouts"]:
        raise RuntimeError(f"failed requests: {report}")
    return report["requests"]["average"], report["latency"]["p99"]


def measure_servers(servers: dict[str, Callable[[], ServiceProcess]]) -> list[str]:
    """Return the table of the servers, and whether the goal is met."""
    samples: dict[str, list[tuple[float, float, float]]] = {name: [] for name in servers}
    for round_number in range(ROUNDS):
        for name, start in servers.items():
            print(f"[bench] round {round_number + 1} of {ROUNDS}: {name}", flush=True)
            with start() as server:
                rate, slowest = measure_load(server.port())
                samples[name].append((rate, slowest, server.resident_bytes() / 2**20))
    rows = {name: [statistics.median(column) for column in zip(*values, strict=True)]
            for name, values in samples.items()}  # fmt: skip
    fastify = rows["bare Fastify"][0]
    lines = ["| server | requests/s | of bare Fastify | p99 | memory under load |",
             "| --- | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for name, (rate, slowest, memory) in rows.items():
        lines.append(
            f"| {name} | {rate:,.0f} | {rate / fastify:.2f} | {slowest:.0f} ms | {memory:.0f} MiB |"
        )
    ratio = rows["the generated service"][0] / fastify
    lines += ["", f"Goal: at least {THROUGHPUT_GOAL} of bare Fastify, with all metrics and logs "
                  f"as shipped. {'Met' if ratio >= THROUGHPUT_GOAL else 'Missed'}."]  # fmt: skip
    return lines


def measure_service(start: Callable[[], ServiceProcess]) -> list[str]:
    """Return the lines on start-up, memory at rest and the cost of a scrape."""
    ready, memory, scrape, size = [], [], [], 0
    for _ in range(5):
        with start() as service:
            ready.append(service.wait_ready())
            memory.append(service.resident_bytes() / 2**20)
            service.get(ROUTE)
            for _ in range(20):
                began = time.perf_counter()
                _, text = service.get("/metrics", "metrics")
                scrape.append((time.perf_counter() - began) * 1000)
                size = len(text)
    goal = "Met" if statistics.median(ready) < READY_GOAL else "Missed"
    return [
        "| what | median |",
        "| --- | ---: |",
        f"| start to ready | {statistics.median(ready) * 1000:.0f} ms |",
        f"| memory at rest | {statistics.median(memory):.0f} MiB |",
        f"| one scrape of `/metrics`, {size / 1024:.0f} KiB | {statistics.median(scrape):.1f} ms |",
        "",
        f"Goal: ready in under {READY_GOAL:g} s. {goal}.",
    ]


def measure_bake() -> list[str]:
    """Return the lines on the time of a bake above that of a template with one file."""
    times: dict[str, list[float]] = {"Slipway": [], "a template with one file": []}
    for _ in range(5):
        with tempfile.TemporaryDirectory() as folder:
            times["Slipway"].append(bake(ROOT, Path(folder)))
            floor = bake(ROOT / "bench" / "floor", Path(folder))
            times["a template with one file"].append(floor)
    medians = {name: statistics.median(values) for name, values in times.items()}
    above = medians["Slipway"] - medians["a template with one file"]
    return [
        "| template | seconds |",
        "| --- | ---: |",
        *(f"| {name} | {value:.2f} |" for name, value in medians.items()),
        "",
        f"Goal: at most {BAKE_GOAL:g} s above the floor. "
        f"{'Met' if above < BAKE_GOAL else 'Missed'}, {above:.2f} s.",
    ]


def measure_render(dependencies: Path, path: Path) -> list[str]:
    """Return the lines on the time that `make render` takes for more and more services.

    Args:
        dependencies: the installed packages of the generated checks.
        path: a folder with the pinned programs.
    """
    lines = ["| services | Kustomize | Helm |", "| ---: | ---: | ---: |"]
    seconds: dict[tuple[str, int], float] = {}
    for manifests in ("kustomize", "helm"):
        with tempfile.TemporaryDirectory() as folder:
            bake(ROOT, Path(folder), f"manifests={manifests}")
            repository = next(Path(folder).iterdir())
            (repository / "checks/node_modules").symlink_to(dependencies)
            apps = repository / "deploy/apps"
            there = 1
            for services in SERVICES:
                for number in range(there, services):
                    shutil.copytree(apps / "orders", apps / f"orders-{number}")
                    for file in (apps / f"orders-{number}").rglob("*.yaml"):
                        text = file.read_text(encoding="utf-8").replace(
                            "orders", f"orders-{number}"
                        )
                        file.write_text(text, encoding="utf-8")
                there = services
                print(f"[bench] rendering {services} services with {manifests}", flush=True)
                samples = []
                for _ in range(3):
                    started = time.perf_counter()
                    fetch.run(
                        ["make", "--directory", str(repository), "render", "ENV=production"],
                        fetch.with_path(path),
                        "rendering",
                    )
                    samples.append(time.perf_counter() - started)
                seconds[manifests, services] = statistics.median(samples)
    for services in SERVICES:
        shown = [f"{seconds[manifests, services]:.2f} s" for manifests in ("kustomize", "helm")]
        lines.append(f"| {services} | {' | '.join(shown)} |")
    few, more, many = SERVICES
    growth = max(
        ((seconds[manifests, many] - seconds[manifests, few]) / (many - few))
        / ((seconds[manifests, more] - seconds[manifests, few]) / (more - few))
        for manifests in ("kustomize", "helm")
    )
    return [
        *lines,
        "",
        f"Goal: a service costs at most {GROWTH_GOAL:g} times as much among {many} "
        f"as among {more}. "
        f"{'Met' if growth <= GROWTH_GOAL else 'Missed'}, {growth:.2f} times.",
    ]


def machine(node: Path) -> str:
    """Describe the machine in one sentence."""
    cpu = platform.processor() or platform.machine()
    details = Path("/proc/cpuinfo")
    if details.exists():
        model = re.search(r"^model name\s*: (.+)$", details.read_text(encoding="utf-8"), re.M)
        cpu = model[1] if model else cpu
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    return (
        f"{os.cpu_count()} cores of {cpu}, {memory:.0f} GiB, {platform.system()} "
        f"{platform.release().split('-')[0]}, Node.js {version.stdout.strip()}, "
        f"Python {platform.python_version()}"
    )


def main() -> int:
    """Run all measurements and write the report; the exit code is 1 when a goal is missed."""
    path = fetch.commands()
    node = path / "node"
    with tempfile.TemporaryDirectory() as folder:
        bake(ROOT, Path(folder))
        repository = next(Path(folder).iterdir())
        fetch.run(
            ["make", "--directory", str(repository), "setup"],
            fetch.with_path(path),
            "installing the service's dependencies",
        )
        (service_folder,) = (repository / "services").iterdir()

        def service(**settings: str) -> ServiceProcess:
            return ServiceProcess([node, "src/server.ts"], service_folder, settings)

        servers: dict[str, Callable[[], ServiceProcess]] = {
            "bare `node:http`": lambda: ServiceProcess([node, "servers/http.js"], ROOT / "bench"),
            "bare Fastify": lambda: ServiceProcess([node, "servers/fastify.js"], ROOT / "bench"),
            "the generated service": service,
            "the same, logging every request": lambda: service(LOG_REQUESTS="all"),
        }
        lines = [
            "# Measured",
            "",
            f"By `make bench` on {machine(node)}. The load generator runs on the same machine.",
            "",
            "## Throughput",
            "",
            f"`GET {ROUTE}`, {CONNECTIONS} keep-alive connections, median of {ROUNDS} alternating "
            f"rounds of {SECONDS} s after 2 s of warm-up. Bare Fastify has the same schemas. The "
            "generated service measures and logs as shipped; the last line shows what "
            "`LOG_REQUESTS=all` costs.",
            "",
            *measure_servers(servers),
            "",
            "## The service alone",
            "",
            *measure_service(service),
            "",
            "## Generating a repository",
            "",
            "Median of 5, without questions.",
            "",
            *measure_bake(),
            "",
            "## Rendering manifests",
            "",
            "`make render ENV=production`, all that Argo CD applies of our own files; median of 3.",
            "",
            *measure_render(repository / "checks/node_modules", path),
        ]
    report = "\n".join(lines) + "\n"
    REPORT.write_text(report, encoding="utf-8")
    print(report)
    return 1 if "Missed" in report else 0


if __name__ == "__main__":
    sys.exit(main())

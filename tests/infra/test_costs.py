"""docs/cost.md counts what Terraform makes, and its sums are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import Bake

HOURS = 730
ENVIRONMENTS = ("dev", "staging", "production")
# What a volume is by default in the chart's values, and a node's disk in Auto Mode, in GB.
SYSTEM_DISK = 4
DISK = 50
DISK_OF_AUTO_MODE = 80


def table(text: str, heading: str) -> dict[str, list[str]]:
    """Return the rows of the first table behind a heading, by their first cell."""
    lines = text.split(heading, 1)[1].split("\n\n|", 1)[1].split("\n\n", 1)[0].splitlines()
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines[2:]]
    return {cells[0]: cells[1:] for cells in rows}


def number(folder: Path, name: str) -> int:
    """Return a number, or whether something is on, of an environment's values."""
    match = re.search(rf"^ +{name} += (\w+)$", (folder / "main.tf").read_text("utf-8"), re.M)
    assert match, f"{folder}: {name}"
    return int(match[1] == "true") if match[1] in ("true", "false") else int(match[1])


def volumes(repository: Path) -> int:
    """Return the GB that the platform's volume claims ask for."""
    files = (repository / "deploy/platform").glob("*/values.yaml")
    return sum(
        int(size)
        for file in files
        for size in re.findall(r"storage: (\d+)Gi", file.read_text(encoding="utf-8"))
    )


@pytest.mark.parametrize("compute", ["managed-nodes", "auto-mode"])
def test_what_an_environment_costs_is_counted(bake: Bake, compute: str) -> None:
    repository = bake(compute=compute)
    text = (repository / "docs/cost.md").read_text(encoding="utf-8")
    prices = {
        what: float(cells[0].removesuffix(" %")) for what, cells in table(text, "## Prices").items()
    }
    told = table(text, "# What it costs")
    endpoints_tf = (repository / "infra/modules/network/endpoints.tf").read_text("utf-8")
    services = endpoints_tf.split("toset([", 1)[1].split("])", 1)[0].count('"') // 2
    modules = (repository / "infra/modules/environment/main.tf").read_text("utf-8")
    for column, environment in enumerate(ENVIRONMENTS):
        folder = repository / "infra/envs" / environment
        zones = number(folder, "zone_count")
        nats = 1 if number(folder, "single_nat_gateway") else zones
        if compute == "managed-nodes":
            nodes = number(folder, "desired_size")
            values = (folder / "main.tf").read_text(encoding="utf-8")
            instance = re.findall(r'instance_types = \["([^"]+)"', values)[0]
            each = prices[instance] / (3 if "SPOT" in values else 1)
            disk = SYSTEM_DISK + DISK
        else:
            nodes, disk = (3 if environment == "production" else 2), DISK_OF_AUTO_MODE
            each = prices["m6i.large"] * (1 + prices["fee of Auto Mode"] / 100)
        wanted = {
            "control plane": prices["control plane"] * HOURS,
            "nodes": nodes * each * HOURS,
            "disks": nodes * disk * prices["gp3"],
            "volumes": volumes(repository) * prices["gp3"],
            "NAT": nats * (prices["NAT gateway"] + prices["public address"]) * HOURS,
            "interface": number(folder, "interface_endpoints")
            * services * zones * prices["interface endpoint"] * HOURS,
            "logs": (50 if environment == "production" else 10) * prices["logs"],
            "keys": modules.count('source = "../key"') * prices["key"] + 2 * prices["secret"],
        }  # fmt: skip
        for what, cost in wanted.items():
            (row,) = [cells for name, cells in told.items() if re.search(rf"^(\d )?{what}\b", name)]
            assert abs(float(row[column]) - cost) <= 0.51, f"{environment}, {what}: {cost:.2f}"
        total = float(told["**sum**"][column].strip("*"))
        assert abs(total - sum(wanted.values())) <= 0.51, f"{environment}: {sum(wanted.values())}"

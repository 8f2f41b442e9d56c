"""Terraform makes what a security reviewer expects, and refuses what one would refuse.

The rows of `CONTROLS` are asserted on the plan of each environment, as its own values make it.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Bake, Tools
from infra.terraform import (
    ENVIRONMENTS,
    Json,
    Plan,
    Terraform,
    copy_of,
    head_of,
    one_run_a_file,
)
from support import run

from tools import aws_schema

pytestmark = pytest.mark.slow

COMPUTE = ("managed-nodes", "auto-mode")
REGISTRIES = ("ecr", "ghcr")
WORLD = {"0.0.0.0/0", "::/0"}


@pytest.fixture(scope="session")
def terraform(tools: Tools) -> Terraform:
    """The pinned Terraform."""
    return Terraform(tools.path("terraform"))


# ---------------------------------------------------------------------------- the plan


@pytest.fixture(scope="session")
def plans(
    bake: Bake, terraform: Terraform, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str, str], Plan]:
    """Return a function from compute, registry and environment to the plan."""
    copies: dict[tuple[str, str], Path] = {}
    made: dict[tuple[str, str, str], Plan] = {}

    def plan(compute: str, registry: str, name: str) -> Plan:
        answers = (compute, registry)
        if answers not in copies:
            repository = bake(compute=compute, container_registry=registry)
            copies[answers] = copy_of(repository, tmp_path_factory.mktemp("infra"))
        if (*answers, name) not in made:
            folder = copies[answers] / "infra/envs" / name
            made[(*answers, name)] = terraform.plan(folder)
        return made[(*answers, name)]

    return plan


# ---------------------------------------------------------------------------- what is expected


def private_api(plan: Plan) -> bool:
    config = plan.one("eks_cluster")["vpc_config"][0]
    return config["endpoint_private_access"] is True and config["endpoint_public_access"] is False


def no_public_list(plan: Plan) -> bool:
    return not plan.one("eks_cluster")["vpc_config"][0].get("public_access_cidrs")


def all_five_logs(plan: Plan) -> bool:
    kinds = {"api", "audit", "authenticator", "controllerManager", "scheduler"}
    return set(plan.one("eks_cluster")["enabled_cluster_log_types"]) == kinds


def log_group(plan: Plan) -> bool:
    group = plan.one("cloudwatch_log_group", "control_plane")
    name = plan.one("eks_cluster")["name"]
    return bool(group["name"] == f"/aws/eks/{name}/cluster" and group["retention_in_days"] >= 365)


def logs_are_encrypted(plan: Plan) -> bool:
    """The key's ARN is not known before it exists, so it may be missing here, and nothing else."""
    groups = plan.all("cloudwatch_log_group")
    allowed = [
        text
        for statement in json.loads(plan.one("kms_key", "logs_key")["policy"])["Statement"][1:]
        for text in statement["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
    ]
    return len(groups) == 2 and all(
        "kms_key_id" not in group
        and any(
            re.search(
                re.escape(text.split("log-group:")[1]).replace(r"\*", ".*") + "$", group["name"]
            )
            for text in allowed
        )
        for group in groups
    )


def secrets_key(plan: Plan) -> bool:
    (config,) = plan.one("eks_cluster")["encryption_config"]
    return bool(config["resources"] == ["secrets"]) and "key_arn" not in config["provider"][0]


def keys_rotate(plan: Plan) -> bool:
    keys = plan.all("kms_key")
    return len(keys) == (3 if plan.managed else 2) and all(
        key["enable_key_rotation"] and json.loads(key["policy"])["Statement"] for key in keys
    )


def keys_name_who_uses_them(plan: Plan) -> bool:
    """Everybody is named only together with this account and a service."""
    for key in plan.all("kms_key"):
        for statement in json.loads(key["policy"])["Statement"]:
            if statement["Principal"].get("AWS") == "*":
                equals = statement["Condition"]["StringEquals"]
                if set(equals) != {"kms:CallerAccount", "kms:ViaService"}:
                    return False
    return True


def access_entries(plan: Plan) -> bool:
    (config,) = plan.one("eks_cluster")["access_config"]
    wanted = {
        "authentication_mode": "API",
        "bootstrap_cluster_creator_admin_permissions": False,
    }
    return bool(config == wanted)


def life_cycle(plan: Plan) -> bool:
    cluster = plan.one("eks_cluster")
    protected = cluster["deletion_protection"] or cluster["name"].endswith("-dev")
    return bool(protected) and cluster["upgrade_policy"][0]["support_type"] == "STANDARD"


def private_subnets(plan: Plan) -> bool:
    subnets = plan.all("subnet")
    return len(subnets) == 6 and not any(subnet["map_public_ip_on_launch"] for subnet in subnets)


def no_way_in_to_nodes(plan: Plan) -> bool:
    groups, templates = plan.all("eks_node_group"), plan.all("launch_template")
    return not any(group["remote_access"] for group in groups) and not any(
        template["network_interfaces"] or template["key_name"] for template in templates
    )


def metadata_needs_a_token(plan: Plan) -> bool:
    templates = plan.all("launch_template")
    return bool(templates) == plan.managed and all(
        (options["http_tokens"], options["http_put_response_hop_limit"]) == ("required", 1)
        for template in templates
        for options in template["metadata_options"]
    )


def bottlerocket(plan: Plan) -> bool:
    return all(
        group["ami_type"].startswith("BOTTLEROCKET_") for group in plan.all("eks_node_group")
    )


def disks_are_encrypted(plan: Plan) -> bool:
    disks = [
        disk["ebs"][0]
        for template in plan.all("launch_template")
        for disk in template["block_device_mappings"]
    ]
    return len(disks) == 2 * len(plan.all("launch_template")) and all(
        disk["encrypted"] == "true" and "kms_key_id" not in disk for disk in disks
    )


def node_role_is_minimal(plan: Plan) -> bool:
    policies = {
        entry["policy_arn"].rsplit("/", 1)[1]
        for entry in plan.all("iam_role_policy_attachment", ".nodes[")
    }
    node = "AmazonEKSWorkerNodePolicy" if plan.managed else "AmazonEKSWorkerNodeMinimalPolicy"
    return policies == {"AmazonEC2ContainerRegistryPullOnly", node}


def pod_identity(plan: Plan) -> bool:
    """No add-on has its rights from the node or from an OIDC provider."""
    addons = plan.all("eks_addon")
    associated = {addon["addon_name"] for addon in addons if addon["pod_identity_association"]}
    wanted = {"vpc-cni", "aws-ebs-csi-driver"} if plan.managed else set()
    return associated == wanted and not any(addon["service_account_role_arn"] for addon in addons)


def permissions(plan: Plan) -> dict[str, list[str]]:
    """Return what each role of pods may do: its action and resource, without account and region."""
    found: dict[str, list[str]] = {}
    for policy in plan.all("iam_role_policy", "module.identities"):
        for statement in json.loads(policy["policy"])["Statement"]:
            assert statement.keys() == {"Sid", "Effect", "Action", "Resource"}, statement
            for action, resource in itertools.product(statement["Action"], statement["Resource"]):
                where = re.sub(r"^arn:aws:[a-z]+:[a-z0-9-]+:\d{12}:", "", resource)
                found.setdefault(policy["role"], []).append(f"{action} on {where}")
    return found


def identities_of_pods(plan: Plan) -> bool:
    """Each service account has a role of its own; who may do what stands here, and nobody else."""
    name = plan.one("eks_cluster")["name"]
    environment = name.removeprefix("acme-shop-")
    secret = f"secret:acme-shop/{environment}/*"
    pull = ["ecr:GetAuthorizationToken on *"] + [
        f"ecr:{action} on repository/acme-shop/*"
        for action in ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
    ]
    may = {
        "external-secrets": [f"secretsmanager:{action} on {secret}" for action in ("DescribeSecret", "GetSecretValue")],
        "kyverno-admission": pull,
        "kyverno-reports": pull,
    }  # fmt: skip
    accounts = {
        "external-secrets": ("external-secrets", "external-secrets"),
        "kyverno-admission": ("kyverno", "kyverno-admission-controller"),
        "kyverno-reports": ("kyverno", "kyverno-reports-controller"),
        "orders": ("apps", "orders"),
    }
    if not plan.all("iam_role", "kyverno"):
        accounts = {key: value for key, value in accounts.items() if value[0] != "kyverno"}
    roles = {role["name"]: role for role in plan.all("iam_role", "module.identities")}
    trusted = {}
    for key, role in roles.items():
        (statement,) = json.loads(role["assume_role_policy"])["Statement"]
        assert statement["Principal"] == {"Service": "pods.eks.amazonaws.com"}
        assert statement["Condition"].keys() == {"StringEquals"}, statement
        trusted[key] = statement["Condition"]["StringEquals"]
    associations = {
        (entry["namespace"], entry["service_account"])
        for entry in plan.all("eks_pod_identity_association")
    }
    return (
        trusted
        == {
            f"{name}-{key}": {
                "aws:RequestTag/eks-cluster-arn": f"arn:aws:eks:eu-west-1:111122223333:cluster/{name}",
                "aws:RequestTag/kubernetes-namespace": namespace,
                "aws:RequestTag/kubernetes-service-account": account,
            }
            for key, (namespace, account) in accounts.items()
        }
        and associations == set(accounts.values())
        and permissions(plan) == {f"{name}-{key}": may[key] for key in accounts if key in may}
    )


def roles_are_capped(plan: Plan) -> bool:
    name = plan.one("eks_cluster")["name"]
    boundary = f"arn:aws:iam::111122223333:policy/{name}-boundary"
    roles = plan.all("iam_role")
    return len(roles) >= 5 and all(role["permissions_boundary"] == boundary for role in roles)


def addons_are_pinned(plan: Plan) -> bool:
    addons = plan.all("eks_addon")
    return len(addons) == (5 if plan.managed else 0) and all(
        re.fullmatch(r"v\d+\.\d+\.\d+-eksbuild\.\d+", addon["addon_version"]) for addon in addons
    )


def network_policies_are_enforced(plan: Plan) -> bool:
    if not plan.managed:
        # A ConfigMap does it there; see test_auto_mode_enforces_network_policies.
        return plan.one("eks_cluster")["compute_config"][0]["enabled"] is True
    text = plan.one("eks_addon", "vpc_cni")["configuration_values"]
    return bool(json.loads(text)["enableNetworkPolicy"] == "true")


def flow_logs(plan: Plan) -> bool:
    log = plan.all("flow_log")
    return len(log) == 1 and log[0]["traffic_type"] == "ALL"


def default_group_is_closed(plan: Plan) -> bool:
    group = plan.one("default_security_group")
    return not group["ingress"] and not group["egress"] and {"ingress", "egress"} <= group.keys()


def rules_have_reasons(plan: Plan) -> bool:
    """One resource for each rule, which says why; none is open to the world."""
    rules = plan.all("vpc_security_group_ingress_rule") + plan.all("vpc_security_group_egress_rule")
    groups = plan.all("security_group")
    return (
        bool(rules)
        and all(entry["description"] for entry in [*rules, *groups])
        and not any({rule["cidr_ipv4"], rule["cidr_ipv6"]} & WORLD for rule in rules)
        and not any(group.get("ingress") or group.get("egress") for group in groups)
    )


def endpoints(plan: Plan) -> bool:
    kinds = [entry["vpc_endpoint_type"] for entry in plan.all("vpc_endpoint")]
    interface = plan.one("eks_cluster")["name"].endswith("-production")
    return kinds.count("Gateway") == 1 and bool(kinds.count("Interface")) == interface


# Row of the table of controls -> whether a plan has it.
CONTROLS: dict[str, Callable[[Plan], bool]] = {
    "private API": private_api,
    "public allow-list": no_public_list,
    "all five logs": all_five_logs,
    "log group": log_group,
    "log groups are encrypted": logs_are_encrypted,
    "secrets key": secrets_key,
    "keys rotate": keys_rotate,
    "keys name who uses them": keys_name_who_uses_them,
    "access entries": access_entries,
    "life cycle": life_cycle,
    "private nodes: subnets": private_subnets,
    "private nodes: no way in": no_way_in_to_nodes,
    "IMDSv2, hop limit 1": metadata_needs_a_token,
    "node OS": bottlerocket,
    "node disks": disks_are_encrypted,
    "minimal node role": node_role_is_minimal,
    "workload identity of add-ons": pod_identity,
    "workload identity of pods": identities_of_pods,
    "permissions boundary": roles_are_capped,
    "add-ons are pinned": addons_are_pinned,
    "NetworkPolicy": network_policies_are_enforced,
    "flow logs": flow_logs,
    "closed default group": default_group_is_closed,
    "security group rules": rules_have_reasons,
    "VPC endpoints": endpoints,
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
@pytest.mark.parametrize("registry", REGISTRIES)
@pytest.mark.parametrize("compute", COMPUTE)
def test_every_control_is_in_the_plan(
    plans: Callable[[str, str, str], Plan], compute: str, registry: str, name: str
) -> None:
    plan = plans(compute, registry, name)
    missing = [control for control, holds in CONTROLS.items() if not holds(plan)]
    assert not missing, f"{compute}, {name}: not in the plan: {missing}"


# What production has and dev has not, or has otherwise; docs/cost.md tells why. Nothing else.
ONLY_IN_PRODUCTION = {
    "aws_eip": 2,  # with a NAT gateway in each zone
    "aws_nat_gateway": 2,
    "aws_security_group": 1,  # with private endpoints of AWS services
    "aws_vpc_endpoint": 10,
    "aws_vpc_security_group_ingress_rule": 1,
}
OTHERWISE = {
    "aws_eks_cluster deletion_protection",
    "aws_eks_node_group capacity_type",  # spot in dev
    "aws_eks_node_group instance_types",
    "aws_eks_node_group scaling_config",
}


def test_production_differs_from_dev_where_the_docs_say(
    plans: Callable[[str, str, str], Plan],
) -> None:
    def resources(name: str, network: str) -> dict[str, Json]:
        text = json.dumps(plans("managed-nodes", "ecr", name).resources)
        # Not that of a disk, "/dev/xvda".
        text = re.sub(rf'(?<!"/)\b{name}\b', "ENV", text).replace(network, "NETWORK.")
        return {entry["address"]: entry for entry in json.loads(text)}

    dev, production = resources("dev", "10.0."), resources("production", "10.2.")
    assert dev.keys() <= production.keys()
    more = Counter(production[address]["type"] for address in production.keys() - dev.keys())
    assert more == ONLY_IN_PRODUCTION
    otherwise = {
        f"{entry['type']} {name}"
        for address, entry in dev.items()
        for name, value in entry["values"].items()
        if value != production[address]["values"].get(name)
    }
    assert otherwise == OTHERWISE


# ---------------------------------------------------------------------------- Terraform's own judges


def test_only_a_change_is_judged_again(own_repo: Path, tools: Tools) -> None:
    (own_repo / "infra/lint.sh").write_text("#!/bin/sh\necho judged\n", encoding="utf-8")
    path = tools.folder("terraform", "tflint")

    def judged() -> bool:
        said = run("make", "--silent", "lint-infra", cwd=own_repo, path=path).stdout
        return said == "judged\n"

    assert judged() and not judged()
    (own_repo / "services/payments").mkdir()
    assert judged() and not judged()
    edit(own_repo, "infra/envs/dev/main.tf", "zone_count          = 3", "zone_count          = 2")
    assert judged() and not judged()
    (own_repo / "infra/modules/network/endpoints.tf").unlink()
    assert judged() and not judged()


def test_a_misspelt_argument_is_found(bake: Bake, terraform: Terraform, tmp_path: Path) -> None:
    repository = copy_of(bake(), tmp_path)
    edit(
        repository,
        "infra/modules/network/main.tf",
        "map_public_ip_on_launch",
        "map_public_ip_on_lunch",
    )
    output = terraform(repository / "infra/modules/network", "test", check=False)
    assert 'Did you mean "map_public_ip_on_launch"' in " ".join(output.split())


def failed_checks(checkov: Path, folder: Path, least: int, *arguments: str) -> list[str]:
    """Return what Checkov finds, after a look at whether it looked at all."""
    # Beside the code stands why a check is skipped there.
    options = ["--config-file=infra/.checkov.yaml", "--output=json", *arguments]
    report = json.loads(run(checkov, *options, cwd=folder, check=False).stdout)
    assert report["summary"]["passed"] >= least, report["summary"]
    failed = report["results"]["failed_checks"]
    return [f"{check['file_path']}: {check['check_id']} {check['resource']}" for check in failed]


def test_checkov_finds_nothing(
    bake: Bake, tools: Tools, terraform: Terraform, tmp_path: Path
) -> None:
    checkov = tools.path("checkov")
    plans = []
    for compute, registry in zip(COMPUTE, REGISTRIES, strict=True):
        repository = copy_of(bake(compute=compute, container_registry=registry), tmp_path / compute)
        infra = repository / "infra"
        environments = f"-var=environments={json.dumps(ENVIRONMENTS)}"
        plans.append(f"--file={terraform.saved_plan(infra / 'bootstrap', environments)}")
        plans.append(f"--file={terraform.saved_plan(infra / 'envs/production')}")
    found = failed_checks(checkov, repository, 250, f"--directory={tmp_path}")
    # It does not see the key of a log group before that is made; in the files it does.
    skipped = "--skip-check=CKV_AWS_339,CKV_AWS_394,CKV_AWS_158"
    root = f"--repo-root-for-plan-enrichment={infra}"
    found += failed_checks(
        checkov, repository, 700, *plans, "--framework=terraform_plan", root, skipped
    )
    assert not found, "\n".join(found)


# ---------------------------------------------------------------------------- breakages


def edit(repository: Path, path: str, old: str, new: str) -> None:
    """Change one text in one file, which must be there."""
    text = (repository / path).read_text(encoding="utf-8")
    assert old in text, f"{path} holds no {old!r}"
    (repository / path).write_text(text.replace(old, new, 1), encoding="utf-8")


NETWORK, CLUSTER, NODES = ("infra/modules/network", "infra/modules/cluster", "infra/modules/nodes")
REGISTRY, GITHUB = ("infra/modules/registry", "infra/modules/github-oidc")
PODS = "infra/modules/workload-identity"
BREAKAGES: dict[str, tuple[str, str, str, str]] = {
    "a public endpoint": (
        f"{CLUSTER}/main.tf",
        "endpoint_public_access  = var.endpoint_public_access",
        "endpoint_public_access  = true",
        "must answer in the VPC and not on the internet",
    ),
    "a log type less": (
        f"{CLUSTER}/main.tf",
        '"audit", ',
        "",
        "all five types of control plane logs must be on",
    ),
    "logs without a key": (
        f"{CLUSTER}/main.tf",
        "kms_key_id        = var.logs_key_arn",
        "kms_key_id        = null",
        "control plane logs must be encrypted",
    ),
    "access by config map": (
        f"{CLUSTER}/main.tf",
        '= "API"',
        '= "API_AND_CONFIG_MAP"',
        "access must come from access entries only",
    ),
    "no network policies": (
        f"{CLUSTER}/addons.tf",
        'enableNetworkPolicy = "true"',
        'enableNetworkPolicy = "false"',
        "network policies must be enforced",
    ),
    "hop limit 2": (
        f"{NODES}/main.tf",
        "http_put_response_hop_limit = 1",
        "http_put_response_hop_limit = 2",
        "pods must not reach the node's credentials",
    ),
    "IMDSv1": (
        f"{NODES}/main.tf",
        'http_tokens                 = "required"',
        'http_tokens                 = "optional"',
        "instance metadata must need a token",
    ),
    "nodes that may push images": (
        f"{NODES}/main.tf",
        "AmazonEC2ContainerRegistryPullOnly",
        "AmazonEC2ContainerRegistryPowerUser",
        "nodes may join the cluster and pull images, and nothing else",
    ),
    "no flow log": (
        f"{NETWORK}/flow-logs.tf",
        'traffic_type         = "ALL"',
        'traffic_type         = "REJECT"',
        "flow logs must hold all traffic",
    ),
    "an open default group": (
        f"{NETWORK}/main.tf",
        "ingress = []",
        'ingress = [{ cidr_blocks = ["0.0.0.0/0"], description = "", from_port = 0, ipv6_cidr_blocks = [], prefix_list_ids = [], protocol = "-1", security_groups = [], self = false, to_port = 0 }]',
        "default security group must have no rule",
    ),
    "public addresses for nodes": (
        f"{NETWORK}/main.tf",
        "map_public_ip_on_launch = false",
        "map_public_ip_on_launch = true",
        "no subnet may give public addresses",
    ),
    "a tag that moves": (
        f"{REGISTRY}/main.tf",
        '"IMMUTABLE"',
        '"MUTABLE"',
        "a tag must never move",
    ),
    "images that nobody scans": (
        f"{REGISTRY}/main.tf",
        "scan_on_push = true",
        "scan_on_push = false",
        "an image must be scanned when it arrives",
    ),
    "images without a key": (
        f"{REGISTRY}/main.tf",
        "kms_key         = var.key_arn",
        "kms_key         = null",
        "images must be encrypted with the registry's key",
    ),
    "signatures that are deleted": (
        f"{REGISTRY}/main.tf",
        '["release-*"]',
        '["*"]',
        "rules must name the tags of releases",
    ),
    "other accounts that push": (
        f"{REGISTRY}/main.tf",
        '"ecr:GetDownloadUrlForLayer"]',
        '"ecr:GetDownloadUrlForLayer", "ecr:PutImage"]',
        "other accounts may pull, those that are named, and nothing else",
    ),
    "a wildcard in a subject": (
        f"{GITHUB}/main.tf",
        ":environment:${name}",
        ":environment:*",
        "a role must believe GitHub, for this repository and these environments, each by StringEquals",
    ),
    "a role of a job without a boundary": (
        f"{GITHUB}/main.tf",
        "= var.permissions_boundary_arn",
        "= null",
        "a role of a job must be capped by the boundary",
    ),
    "any service account of a namespace": (
        f"{PODS}/main.tf",
        '          "aws:RequestTag/kubernetes-service-account" = each.value.service_account\n',
        "",
        "a role must believe one service account, of one namespace of one cluster",
    ),
    "a role of pods without a boundary": (
        f"{PODS}/main.tf",
        "= var.permissions_boundary_arn",
        "= null",
        "a role of pods must be capped by the boundary",
    ),
    "a key that is never rotated": (
        "infra/modules/key/main.tf",
        "enable_key_rotation     = true",
        "enable_key_rotation     = false",
        "a key must be rotated",
    ),
}


@pytest.mark.parametrize("folder", sorted({Path(path).parent for path, *_ in BREAKAGES.values()}))
def test_a_breakage_turns_a_test_of_the_module_red(
    bake: Bake, terraform: Terraform, tmp_path: Path, folder: Path
) -> None:
    """All of a module at once: each has a test of its own that says so."""
    repository = copy_of(bake(), tmp_path)
    mine = {name: entry for name, entry in BREAKAGES.items() if Path(entry[0]).parent == folder}
    for path, old, new, _ in mine.values():
        edit(repository, path, old, new)
    one_run_a_file(repository / folder)
    runs = terraform.test(repository / folder)
    said = " ".join(" ".join(entry.errors for entry in runs.values()).split())
    green = [name for name, (*_, message) in mine.items() if message not in said]
    assert not green, f"{green} is not seen: {said or 'all green'}"


def test_a_flow_log_that_is_removed_turns_tests_red(
    bake: Bake, terraform: Terraform, tmp_path: Path
) -> None:
    repository = copy_of(bake(), tmp_path)
    path = repository / NETWORK / "flow-logs.tf"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.split('resource "aws_flow_log"')[0], encoding="utf-8")
    output = terraform(path.parent, "test", check=False)
    assert 'resource "aws_flow_log" "this" has not been declared' in " ".join(output.split())


# Name of the control -> a change that takes it away, beside those of BREAKAGES.
WITHOUT: dict[str, tuple[str, str, str]] = {
    "public allow-list": (
        f"{CLUSTER}/main.tf",
        "var.endpoint_public_access ? var.public_access_cidrs : null",
        '["0.0.0.0/0"]',
    ),
    "log group": (
        f"{CLUSTER}/main.tf",
        '"/aws/eks/${var.name}/cluster"',
        '"/aws/eks/${var.name}/api"',
    ),
    "secrets key": (f"{CLUSTER}/main.tf", 'resources = ["secrets"]', "resources = []"),
    "life cycle": (f"{CLUSTER}/main.tf", '"STANDARD"\n  }', '"EXTENDED"\n  }'),
    "security group rules": (
        f"{CLUSTER}/main.tf",
        "cidr_ipv4         = each.value",
        'cidr_ipv4         = "0.0.0.0/0"',
    ),
    "private nodes: no way in": (
        f"{NODES}/main.tf",
        "  scaling_config {",
        '  remote_access {\n    ec2_ssh_key = "key"\n  }\n\n  scaling_config {',
    ),
    "node OS": (f"{NODES}/main.tf", "= each.value.ami_type", '= "AL2023_x86_64_STANDARD"'),
    "node disks": (
        f"{NODES}/main.tf",
        "encrypted             = true",
        "encrypted             = false",
    ),
    "add-ons are pinned": (f"{CLUSTER}/addons.tf", 'var.addon_versions["kube-proxy"]', '"latest"'),
    "workload identity of add-ons": (
        f"{NODES}/addons.tf",
        "  pod_identity_association {",
        '  service_account_role_arn = "arn:aws:iam::111122223333:role/x"\n\n  pod_identity_association {',
    ),
    "workload identity of pods": (
        "infra/modules/environment/main.tf",
        ":secret:${local.project}/${var.environment}/*",
        ":secret:${local.project}/*",
    ),
    "permissions boundary": (
        f"{NETWORK}/flow-logs.tf",
        "= var.permissions_boundary_arn",
        "= null",
    ),
    "VPC endpoints": (f"{NETWORK}/endpoints.tf", '"Gateway"', '"Interface"'),
    "keys name who uses them": (
        "infra/modules/environment/main.tf",
        '        "kms:CallerAccount" = local.account_id\n',
        "",
    ),
}
ALSO = {
    "private API": "a public endpoint",
    "all five logs": "a log type less",
    "log groups are encrypted": "logs without a key",
    "access entries": "access by config map",
    "NetworkPolicy": "no network policies",
    "IMDSv2, hop limit 1": "hop limit 2",
    "minimal node role": "nodes that may push images",
    "flow logs": "no flow log",
    "closed default group": "an open default group",
    "private nodes: subnets": "public addresses for nodes",
    "keys rotate": "a key that is never rotated",
}


def test_each_control_can_be_missing(bake: Bake, terraform: Terraform, tmp_path: Path) -> None:
    repository = copy_of(bake(), tmp_path)
    changes = WITHOUT | {control: BREAKAGES[name][:3] for control, name in ALSO.items()}
    assert changes.keys() == CONTROLS.keys()
    # Five at a time, from different files as far as that goes.
    groups = [sorted(changes)[number::5] for number in range(5)]
    for controls in groups:
        before = {
            path: (repository / path).read_text(encoding="utf-8")
            for path, *_ in (changes[control] for control in controls)
        }
        for control in controls:
            edit(repository, *changes[control])
        plan = terraform.plan(repository / "infra/envs/dev")
        missing = sorted(name for name, holds in CONTROLS.items() if not holds(plan))
        assert missing == controls, f"without {controls}, missing are {missing}"
        for path, text in before.items():
            (repository / path).write_text(text, encoding="utf-8")


# ---------------------------------------------------------------------------- what is refused

# Module -> (the variables that are wrong, what the message says to write).
REFUSED: dict[str, list[tuple[str, str]]] = {
    "cluster": [
        ('endpoint_public_access = true\npublic_access_cidrs = ["0.0.0.0/0"]', 'opens the API to the world.*write networks of /16 or smaller, for example ["203.0.113.7/32"]'),
        ("endpoint_public_access = true\npublic_access_cidrs = []", 'EKS takes for the whole internet: write the networks that may reach the API, for example ["203.0.113.7/32"], or endpoint_public_access = false'),
        ('kubernetes_version = "1.29"', "write one that AWS supports at the normal price: 1.35 (until 2027-03-27), 1.36 (until 2027-08-02)"),
        ('api_clients = { all = "0.0.0.0/0" }', 'write a network of /8 or smaller for each name, for example { vpn = "10.8.0.0/24" }'),
        ('access = { all = { principal_arn = "arn:aws:iam::111122223333:role/*", policy = "AmazonEKSViewPolicy" } }', "must be that of one IAM role, for example arn:aws:iam::111122223333:role/operators"),
        ('access = { all = { principal_arn = "arn:aws:iam::111122223333:role/x", policy = "Admin" } }', "must be AmazonEKSViewPolicy,"),
        ('name = "Shop"', "for example shop-dev"),
    ],
    "network": [
        ('cidr = "10.0.0.0/24"', "write /16 (65536 addresses) to /20 (4096); for example 10.0.0.0/16"),
        ('cidr = "10.0.0.7/16"', "write the first address of a network, a slash and its size; for example 10.0.0.0/16"),
        ('cidr = "8.8.0.0/16"', "write private addresses"),
        ('other_networks = { vpn = "10.0.9.0/24" }', "shares addresses with one of other_networks (vpn 10.0.9.0/24).*write a network that is apart; for example 10.4.0.0/16"),
        ('other_networks = { vpn = "somewhere" }', "or one of these is no network"),
        ('zones = ["eu-west-1a"]', "write two or three different availability zones"),
    ],
    "nodes": [
        ('groups = { a = { instance_types = ["t3.large"], ami_type = "AL2_x86_64", min_size = 1, desired_size = 1, max_size = 1 } }', "ami_type must be BOTTLEROCKET_x86_64"),
        ('groups = { a = { instance_types = ["t3.large"], min_size = 2, desired_size = 1, max_size = 1 } }', "1 <= min_size <= desired_size <= max_size"),
        ('groups = { a = { instance_types = ["t3.large"], capacity_type = "SPOT", min_size = 1, desired_size = 1, max_size = 1 } }', "needs three instance types or more"),
        ('groups = { a = { instance_types = ["t3.large"], capacity_type = "FREE", min_size = 1, desired_size = 1, max_size = 1 } }', "must be ON_DEMAND or SPOT"),
    ],
    "key": [('name = "a key"', "for example shop-dev-logs")],
    "registry": [
        ('repositories = ["orders"]', "write PROJECT/SERVICE, for example shop/orders"),
        ('pull_account_ids = ["*"]', 'write the 12 digits of each AWS account, for example ["111122223333"]'),
        ("archive_after_days = 7", "write 30 or more, so that a rollback finds its image"),
        ("delete_after_days = 7", "write 90 or more, for example 365"),
    ],
    "github-oidc": [
        ('owner = "*"', "write the one user or organization on GitHub that owns the repository; for example acme. A wildcard would let others in"),
        ('repository = "*"', "write the name of the one repository, without its owner; for example shop. A wildcard would let other repositories in"),
        ('roles = { a = { description = "", environments = ["plan-*"], policies = {} } }', 'for example ["release"]. A wildcard would let jobs in that nobody has approved'),
        ('owner_id = "*"\nrepository_id = "*"', "write the number that `gh api users/OWNER --jq .id` tells, or null"),
        ('owner_id = "7"', "repository_id and owner_id belong together: write both, or null for both"),
    ],
    "workload-identity": [
        ('identities = { a = { namespace = "apps", service_account = "a", permissions = { A = { actions = ["s3:*"], resources = ["arn:aws:s3:::a"] } } } }', 'write each action in full, for example "s3:GetObject", not "s3:*"'),
        ('identities = { a = { namespace = "apps", service_account = "a", permissions = { A = { actions = ["s3:GetObject"], resources = ["*"] } } } }', 'for example "arn:aws:s3:::shop-uploads/*", not "*"'),
        ('identities = { a = { namespace = "*", service_account = "a" } }', 'for example namespace = "apps", service_account = "orders"'),
    ],
    "environment": [
        ('environment = "production"\nzone_count = 1', "write 2 or 3. EKS refuses one zone, and production would stand still with it"),
        ('environment = "production"\nsingle_nat_gateway = true', "in production a failing zone would take the way out of all nodes with it; write false"),
        ('environment = "production"\ndeletion_protection = false', "production keeps it; write true"),
        ('environment = "production"\nnode_groups = { a = { instance_types = ["a", "b", "c"], capacity_type = "SPOT", min_size = 2, desired_size = 2, max_size = 2 } }', "production needs a group of ON_DEMAND nodes"),
        ("log_retention_days = 30", "Write a number that CloudWatch knows"),
        ('environment = "Dev"', "write the name of its folder"),
        ('registry_account_id = "me"', "write the 12 digits of an AWS account, or null for this one"),
        ('service_permissions = { nobody = {} }', "write names of folders in services/: orders"),
        ('cidr = "172.20.0.0/16"', "shares addresses with one of other_networks (Kubernetes Services 172.20.0.0/16)"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("module", REFUSED)
def test_a_refusal_says_what_to_write(
    bake: Bake, terraform: Terraform, tmp_path: Path, module: str
) -> None:
    folder = copy_of(bake(), tmp_path) / "infra/modules" / module
    (tests,) = folder.glob("tests/*.tftest.hcl")
    head = head_of(tests)
    tests.unlink()
    for number, (variables, _) in enumerate(REFUSED[module]):
        # Each in a file of its own, as Terraform skips what comes after a failure.
        case = (
            f'\nrun "case_{number}" {{\n  command = plan\n  variables {{\n{variables}\n  }}\n}}\n'
        )
        tests.with_name(f"{number}.tftest.hcl").write_text(head + case, encoding="utf-8")
    found = terraform.test(folder)
    for number, (variables, words) in enumerate(REFUSED[module]):
        errors = " ".join(found[f"case_{number}"].errors.split())
        pattern = ".*".join(re.escape(part) for part in words.split(".*"))
        assert re.search(pattern, errors), f"{variables}: {errors or 'it was not refused'}"


# ---------------------------------------------------------------------------- the stand-in for AWS


def test_the_schema_has_all_that_is_used_and_nothing_else(bake: Bake) -> None:
    used: set[str] = set()
    for compute, registry in itertools.product(COMPUTE, REGISTRIES):
        used |= set(names_in(bake(compute=compute, container_registry=registry)))
    served = set(aws_schema.wanted())
    assert used <= served, f"tools/aws-schema/names.txt lacks {sorted(used - served)}"


def names_in(repository: Path) -> Iterator[str]:
    """Yield the resources, and data sources with `data.` before them, that Terraform files use."""
    for file in repository.glob("infra/**/*.tf"):
        text = file.read_text(encoding="utf-8")
        yield from re.findall(r'^resource "(aws_\w+)"', text, re.M)
        yield from (f"data.{name}" for name in re.findall(r'^data "(aws_\w+)"', text, re.M))


def test_auto_mode_enforces_network_policies(bake: Bake) -> None:
    repository = bake(compute="auto-mode")
    text = (repository / "deploy/policies/network/kube-system/enforcement.yaml").read_text("utf-8")
    assert "name: amazon-vpc-cni" in text and 'enable-network-policy-controller: "true"' in text
    base = (repository / "deploy/policies/base/kustomization.yaml").read_text("utf-8")
    assert "  - ../network/kube-system\n" in base
    values = (repository / "deploy/platform/kube-prometheus-stack/values.yaml").read_text("utf-8")
    assert 'provisioner: "ebs.csi.eks.amazonaws.com"' in values


def test_destroy_refuses_production_and_what_is_protected(own_repo: Path, tools: Tools) -> None:
    shutil.rmtree(own_repo / "services")
    for name, words in (
        ("production", "Production is not removed by a command"),
        ("staging", "Write deletion_protection = false there"),
        ("demo", "there is no infra/envs/demo"),
    ):
        result = run(
            "infra/destroy.sh",
            name,
            cwd=own_repo,
            path=tools.folder("node", "kubectl", "terraform"),
            check=False,
        )
        assert result.returncode == 1 and words in result.stderr, result.stderr
        assert "Nothing was changed" in result.stderr

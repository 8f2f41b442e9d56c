"""What is made once in an AWS account: state, roles for GitHub's jobs, caps, registry.

Trust policies are judged as AWS does: whether a token with these claims may take the role.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from conftest import Bake, Tools
from infra.terraform import ENVIRONMENTS, Json, Plan, Terraform, copy_of
from support import LONGEST, run

pytestmark = pytest.mark.slow

BOOTSTRAP = "infra/bootstrap"
ISSUER = "token.actions.githubusercontent.com"


@pytest.fixture(scope="session")
def terraform(tools: Tools) -> Terraform:
    """The pinned Terraform."""
    return Terraform(tools.path("terraform"))


@pytest.fixture(scope="session")
def account(bake: Bake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what Terraform reads, with both prompts at their first choice."""
    return copy_of(bake(), tmp_path_factory.mktemp("account"))


@pytest.fixture(scope="session")
def plan(account: Path, terraform: Terraform) -> Plan:
    """What it would make."""
    return terraform.plan(account / BOOTSTRAP)


# ---------------------------------------------------------------------------- who may take a role

# Role -> the environments of GitHub whose jobs may take it.
INTENDED = {
    "acme-shop-publish": {"release"},
    "acme-shop-pull": {"promote", "rescan"},
    **{f"acme-shop-{name}-{kind}": {f"{kind}-{name}"} for name in ENVIRONMENTS for kind in ("plan", "apply")},
}  # fmt: skip


def accepts(role: Json, claims: dict[str, str]) -> bool:
    """Say whether AWS lets a token of GitHub's with these claims take a role.

    It knows nothing but StringEquals: any other condition would have to be thought about first.
    """
    (statement,) = json.loads(role["assume_role_policy"])["Statement"]
    assert statement["Effect"] == "Allow"
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Principal"].keys() == {"Federated"}
    assert statement["Condition"].keys() == {"StringEquals"}, statement["Condition"]
    conditions = statement["Condition"]["StringEquals"]
    assert conditions.keys() == {f"{ISSUER}:aud", f"{ISSUER}:sub"}, conditions
    return all(
        claims[key.removeprefix(f"{ISSUER}:")] in ([value] if isinstance(value, str) else value)
        for key, value in conditions.items()
    )


def claims_of(repositories: list[str]) -> list[dict[str, str]]:
    """Return the claims of jobs of repositories: in environments, on branches, for pull requests."""
    named = sorted({name for names in INTENDED.values() for name in names})
    places = [
        f"environment:{name}" for name in (*named, "dev-deploy", "plan-demo", "production", "*", "")
    ]
    places += [
        "ref:refs/heads/main",
        "ref:refs/heads/release",
        "ref:refs/tags/release",
        "pull_request",
        "*",
    ]
    subjects = [f"repo:{repository}:{place}" for repository in repositories for place in places]
    return [
        {"sub": subject, "aud": audience}
        for subject in (*subjects, "*", "repo:*")
        for audience in ("sts.amazonaws.com", "https://github.com/acme", "*")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("variables", "own"),
    [
        ("", "acme/acme-shop"),
        ('github_owner_id = "9919"\ngithub_repository_id = "42"', "acme@9919/acme-shop@42"),
    ],
    ids=["classic", "immutable"],
)
def test_a_role_is_for_its_environments_of_this_repository_only(
    account: Path, terraform: Terraform, variables: str, own: str
) -> None:
    plan = terraform.plan(account / BOOTSTRAP, variables)
    roles = {role["name"]: role for role in plan.all("iam_role")}
    assert roles.keys() == INTENDED.keys()
    others = [
        *("acme/acme-shop", "acme@9919/acme-shop@42", "acme@9919/acme-shop@43"),
        *("acme@1/acme-shop@42", "acme/other", "acme/acme-shop-fork", "acme/ACME-SHOP"),
        *("mallory/acme-shop", "acme/*", "*/acme-shop", "*", "acme/acme-shop:environment:release"),
    ]
    for name, role in roles.items():
        accepted = {
            (claims["sub"], claims["aud"])
            for claims in claims_of([*others, own])
            if accepts(role, claims)
        }
        wanted = {
            (f"repo:{own}:environment:{place}", "sts.amazonaws.com") for place in INTENDED[name]
        }
        assert accepted == wanted, name


def test_jobs_are_capped_and_their_credentials_end(plan: Plan) -> None:
    for role in plan.all("iam_role"):
        assert role["permissions_boundary"].endswith(":policy/acme-shop-ci-boundary"), role["name"]
        assert role["max_session_duration"] == 3600
    (provider,) = plan.all("iam_openid_connect_provider")
    assert provider["url"] == f"https://{ISSUER}"
    assert provider["client_id_list"] == ["sts.amazonaws.com"]


# ---------------------------------------------------------------------------- what roles may do


def policies_of(plan: Plan, role: str) -> list[Json]:
    """Return the statements of a role's policies."""
    return [
        statement
        for policy in plan.all("iam_policy", "module.github")
        if policy["name"].removeprefix(f"{role}-") != policy["name"]
        for statement in json.loads(policy["policy"])["Statement"]
    ]


def many(value: str | list[str]) -> list[str]:
    """Return what policies write as a text or as a list of them."""
    return [value] if isinstance(value, str) else value


def holds(operator: str, values: list[str], found: str | None) -> bool:
    """Say whether a condition holds for a key of a request: None, when the request has none."""
    match operator:
        case "StringEquals" | "ArnEquals":
            return found in values
        case "StringNotEquals":
            return found not in values
        case "StringEqualsIfExists":
            return found is None or found in values
        case "StringLike" | "ArnLike":
            return found is not None and any(fnmatchcase(found, value) for value in values)
        case "Null":
            return values == [json.dumps(found is None)]
    raise AssertionError(f"{operator}: think about what AWS makes of it first")


def may(statements: list[Json], action: str, resource: str, request: Mapping[str, str]) -> bool:
    """Say whether statements allow a request, as AWS judges it: a denial beats all."""
    effects = {
        statement["Effect"]
        for statement in statements
        if any(fnmatchcase(action, text) for text in many(statement.get("Action", "*")))
        and not any(fnmatchcase(action, text) for text in many(statement.get("NotAction", [])))
        and any(fnmatchcase(resource, text) for text in many(statement["Resource"]))
        and all(
            holds(operator, many(values), request.get(key))
            for operator, conditions in statement.get("Condition", {}).items()
            for key, values in conditions.items()
        )
    }
    return effects == {"Allow"}


def request_of(tags: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Return what AWS knows of a request: the tags of what it is for, and those that it brings."""
    return {f"aws:ResourceTag/{key}": value for key, value in tags.items()} | {
        f"aws:RequestTag/{key}": value for key, value in new.items()
    }


def test_only_releases_push_and_only_to_the_repositories_of_services(plan: Plan) -> None:
    repository = "arn:aws:ecr:eu-west-1:111122223333:repository/acme-shop/orders"
    push = [s for s in policies_of(plan, "acme-shop-publish") if "ecr:PutImage" in s["Action"]]
    assert [statement["Resource"] for statement in push] == [[repository]]
    for policy in plan.all("iam_policy", "module.github"):
        actions = {a for s in json.loads(policy["policy"])["Statement"] for a in s["Action"]}
        pushes = {"ecr:PutImage", "ecr:UploadLayerPart"} & actions
        assert bool(pushes) == policy["name"].startswith("acme-shop-publish-"), policy["name"]


def test_no_policy_has_every_action_of_a_service(plan: Plan) -> None:
    for policy in plan.all("iam_policy", "module.github"):
        for statement in json.loads(policy["policy"])["Statement"]:
            assert statement["Effect"] == "Allow" and "NotAction" not in statement
            assert not [action for action in statement["Action"] if "*" in action], policy["name"]


def test_environments_have_the_same_rights_each_for_itself(plan: Plan) -> None:
    for kind in ("plan", "apply"):
        texts = {
            name: json.dumps(policies_of(plan, f"acme-shop-{name}-{kind}")) for name in ENVIRONMENTS
        }
        for one, other in itertools.permutations(ENVIRONMENTS, 2):
            assert one in texts[one] and other not in texts[one]
            assert texts[one].replace(one, other) == texts[other]


def test_a_group_of_somebody_else_cannot_be_opened(
    account: Path, plan: Plan, terraform: Terraform
) -> None:
    """Whatever tags the role may put on it first; those of the network's own default group it may put."""
    statements = policies_of(plan, "acme-shop-dev-apply")
    group = "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-1"
    made = terraform.plan(account / "infra/envs/dev").one("default_security_group")["tags"]
    own = {"project": "acme-shop", "environment": "dev"} | made
    assert may(statements, "ec2:CreateTags", group, request_of({}, own))
    untagged: dict[str, str] = {}
    for tags in (untagged, own):
        assert may(statements, "ec2:RevokeSecurityGroupIngress", group, request_of(tags, {}))

    projects, names = ("acme-shop", "other"), ("dev", "production", own["environment"], "Dev")
    tagged = [
        {key: value for key, value in zip(("project", "environment"), pair, strict=True) if value}
        for pair in itertools.product((None, *projects), (None, *names))
    ]
    foreign = [tags for tags in tagged if tags != {"project": "acme-shop", "environment": "dev"}]
    # What it can make of each, step by step.
    reached = list(foreign)
    for tags in reached:
        for new in tagged:
            after = tags | new
            asked = request_of(tags, new)
            if may(statements, "ec2:CreateTags", group, asked) and after not in reached:
                reached.append(after)
    for tags, new in itertools.product(reached, tagged):
        for way in ("Ingress", "Egress"):
            action = f"ec2:AuthorizeSecurityGroup{way}"
            assert not may(statements, action, group, request_of(tags, new)), (
                f"{action}: a group with the tags {tags} can be opened"
            )


def test_no_role_of_an_environment_reaches_another_one(plan: Plan) -> None:
    """Not by any policy that the role which applies could give it: its boundary does not allow it."""
    caps = {
        policy["name"]: json.loads(policy["policy"])["Statement"]
        for policy in plan.all("iam_policy", "aws_iam_policy.boundary")
    }
    assert caps.keys() == {f"acme-shop-{name}-boundary" for name in ENVIRONMENTS}
    region, here = {"aws:RequestedRegion": "eu-west-1"}, "eu-west-1:111122223333"
    for own, other in itertools.product(ENVIRONMENTS, repeat=2):
        reaches = own == other
        cap = caps[f"acme-shop-{own}-boundary"]
        cluster = f"acme-shop-{other}"
        tags = {"project": "acme-shop", "environment": other}
        through = {"kms:ViaService": "ec2.eu-west-1.amazonaws.com"}
        asked: list[tuple[str, str, dict[str, str]]] = [
            ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{here}:secret:acme-shop/{other}/grafana-x", {}),
            ("logs:PutLogEvents", f"arn:aws:logs:{here}:log-group:/aws/vpc/{cluster}/flow-logs:log-stream:x", {}),
            ("ec2:RunInstances", f"arn:aws:ec2:{here}:subnet/subnet-1", region | request_of(tags, {})),
            ("kms:Decrypt", f"arn:aws:kms:{here}:key/1", through | request_of(tags, {})),
            *(
                (action, f"arn:aws:{where}", region | request_of({key: cluster}, {}))
                for key in ("eks:eks-cluster-name", "eks:cluster-name")
                for action, where in (
                    ("ec2:TerminateInstances", f"ec2:{here}:instance/i-1"),
                    ("ec2:AttachVolume", f"ec2:{here}:volume/vol-1"),
                )
            ),
        ]  # fmt: skip
        for action, resource, request in asked:
            wrong = "reaches" if not reaches else "does not reach"
            assert may(cap, action, resource, request) == reaches, (
                f"{own} {wrong} {resource}: {action}"
            )
        # Somebody else's things are theirs to tag as they like: AWS's policies say what a cluster may do there.
        assert may(
            cap,
            "ec2:CreateNetworkInterface",
            f"arn:aws:ec2:{here}:subnet/s",
            region | request_of({"environment": "other"}, {}),
        )
        # And no role gets the boundary of another environment.
        role = f"arn:aws:iam::111122223333:role/acme-shop-{own}-x"
        boundary = {
            "iam:PermissionsBoundary": f"arn:aws:iam::111122223333:policy/{cluster}-boundary"
        }
        apply = policies_of(plan, f"acme-shop-{own}-apply")
        assert may(apply, "iam:CreateRole", role, boundary) == reaches, (own, other)


# What is widened -> where, the change, and what the test has to name.
WIDER = {
    "an action more": ("permissions.tf", '"ecr:PutImage", ', '"ecr:PutImage", "ecr:BatchDeleteImage", ', "ecr:BatchDeleteImage"),
    "every action": ("permissions.tf", '"eks:DeleteAddon",', '"eks:DeleteAddon", "eks:*",', "eks:*"),
    "roles of others": ("permissions.tf", 'role/${local.project}-${name}-*"\n        },\n        {\n          Sid      = "PassRoles"', 'role/*"\n        },\n        {\n          Sid      = "PassRoles"', "iam:role/*"),
    "state of others": ("permissions.tf", '"${local.state_bucket_arn}/${name}/*"', '"${local.state_bucket_arn}/*"', "111122223333/*"),
    "no tags asked for": ("permissions.tf", "          Condition = { StringEquals = local.is_tagged[name] }\n", "", "ChangeInEc2"),
    "a boundary that can go": ("boundary.tf", '"iam:DeleteRolePermissionsBoundary"', '"iam:DeleteRole"', "NoBoundaryTakenAway"),
    "a line without a reason": ("tests/permissions/reasons.yaml", "iam:PassRole: to say which role a cluster, a node, a pod or a log has", 'iam:PassRole: ""', "PassRoles"),
}  # fmt: skip


def test_widening_turns_a_test_red(bake: Bake, terraform: Terraform, tmp_path: Path) -> None:
    folder = copy_of(bake(), tmp_path) / BOOTSTRAP
    for path, old, new, _ in WIDER.values():
        before = (folder / path).read_text(encoding="utf-8")
        assert old in before, f"{path} holds no {old!r}"
        (folder / path).write_text(before.replace(old, new, 1), encoding="utf-8")
    red = terraform.test(folder)["permissions"]
    errors = red.errors.split("has no reason for")[1].split("has what no role may do")[0]
    green = [name for name, (*_, said) in WIDER.items() if said not in errors]
    assert red.status != "pass" and not green, f"{green} is not seen: {errors}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ci", "no environment can be called ci"),
        ("dev-2", "one of these names begins with another"),
    ],
)
def test_an_environment_whose_name_is_a_part_of_others_is_refused(
    bake: Bake, terraform: Terraform, tmp_path: Path, name: str, message: str
) -> None:
    """What begins with dev- belongs to dev, and the boundary of ci would be the one of jobs."""
    copy = copy_of(bake(), tmp_path)
    shutil.copytree(copy / "infra/envs/dev", copy / "infra/envs" / name)
    with pytest.raises(AssertionError, match=message):
        terraform.plan(copy / BOOTSTRAP, f'environments = ["dev", "{name}"]')


def test_the_longest_names_fit(bake: Bake, terraform: Terraform, tmp_path: Path) -> None:
    """AWS's limits are 64 characters for a role, 63 for a bucket, 6144 for a policy; of fifty services."""
    repository = copy_of(bake(**LONGEST), tmp_path)
    for number in range(2, 51):
        service = repository / "services" / f"{'s' * 21}-{number:02}"
        service.mkdir()
        (service / "package.json").write_text("{}", encoding="utf-8")
    plan = terraform.plan(repository / BOOTSTRAP)
    policies = plan.all("iam_policy")
    # Of each job of the registry, of all jobs; of each environment, of its plan and its apply.
    assert len(policies) == 2 + 1 + len(ENVIRONMENTS) * (1 + 2 + 5)
    assert max(len(policy["policy"]) for policy in policies) <= 6144
    assert len(plan.one("s3_bucket")["bucket"]) <= 63
    plan_of_environment = terraform.plan(repository / "infra/envs/production")
    for role in plan.all("iam_role") + plan_of_environment.all("iam_role"):
        assert len(role["name"]) <= 64, role["name"]


# ---------------------------------------------------------------------------- the rest of the account


def test_state_and_images_are_kept_as_a_reviewer_expects(plan: Plan) -> None:
    bucket = plan.one("s3_bucket")
    assert bucket["bucket"] == "acme-shop-state-111122223333"
    assert plan.one("s3_bucket_versioning")["versioning_configuration"][0]["status"] == "Enabled"
    assert all(
        value is True
        for key, value in plan.one("s3_bucket_public_access_block").items()
        if key.startswith(("block_", "ignore_", "restrict_"))
    )
    repository = plan.one("ecr_repository")
    assert repository["name"] == "acme-shop/orders"
    assert repository["image_tag_mutability"] == "IMMUTABLE"
    assert repository["image_scanning_configuration"] == [{"scan_on_push": True}]
    assert repository["encryption_configuration"][0]["encryption_type"] == "KMS"
    assert len(plan.all("ecr_lifecycle_policy")) == 1


def test_a_new_service_gets_its_repository_and_its_identity(
    bake: Bake, terraform: Terraform, tmp_path: Path
) -> None:
    repository = copy_of(bake(), tmp_path)
    (repository / "services/payments").mkdir()
    (repository / "services/payments/package.json").write_text("{}", encoding="utf-8")
    plan = terraform.plan(repository / BOOTSTRAP)
    names = ["acme-shop/orders", "acme-shop/payments"]
    assert [entry["name"] for entry in plan.all("ecr_repository")] == names
    push = [s for s in policies_of(plan, "acme-shop-publish") if "ecr:PutImage" in s["Action"]]
    assert [arn.split(":repository/")[1] for arn in push[0]["Resource"]] == names
    environment = terraform.plan(repository / "infra/envs/dev")
    roles = {role["name"] for role in environment.all("iam_role", "module.identities")}
    assert {"acme-shop-dev-orders", "acme-shop-dev-payments"} <= roles


def test_without_a_registry_in_aws_nothing_of_one_is_made(
    bake: Bake, terraform: Terraform, tmp_path: Path
) -> None:
    repository = copy_of(bake(container_registry="ghcr"), tmp_path)
    assert not (repository / "infra/modules/registry").exists()
    plan = terraform.plan(repository / BOOTSTRAP)
    assert not plan.all("ecr_repository")
    assert {role["name"] for role in plan.all("iam_role")} == {
        name for name in INTENDED if name.endswith(("-plan", "-apply"))
    }


# ---------------------------------------------------------------------------- make bootstrap-aws

# Stand-ins that keep a diary: AWS with one bucket, Terraform with a state that it puts there.
AWS = """#!/bin/sh
case "$1 $2" in
  "sts get-caller-identity") echo 111122223333 ;;
  "s3api head-bucket") test -e "$CLOUD/bucket" ;;
  "s3api head-object") test -e "$CLOUD/state" ;;
  "s3api get-bucket-encryption") test -e "$CLOUD/bucket" && echo arn:aws:kms:eu-west-1:111122223333:key/1 ;;
  *) exit 2 ;;
esac
"""
TERRAFORM = """#!/bin/sh
folder=${1#-chdir=}; shift
local=no; test -e "$folder/local_override.tf" && local=yes
echo "local=$local $*" >>"$CLOUD/diary"
case "$1" in
  apply)
    test -z "$STOP" || exit 1
    touch "$CLOUD/bucket"
    test $local = no || touch "$folder/111122223333.tfstate"
    ;;
  init) case "$*" in *-migrate-state*) test -z "$LOSE" || exit 1; touch "$CLOUD/state" ;; esac ;;
  output)
    test "$3" != registry || { echo false; exit 0; }
    test "$3" != environments || { echo '["dev","staging"]'; exit 0; }
    echo '{"state_backends": {"value": {"dev": {"bucket": "acme-shop-state-111122223333", "kms_key_id": "KEY"}}},
      "github_variables": {"value": {"repository": {}, "environments": {"plan-dev": {"AWS_ROLE_ARN": "ROLE"}}}}}'
    ;;
esac
"""


def test_bootstrap_moves_its_state_and_can_be_run_again(own_repo: Path, tools: Tools) -> None:
    cloud = own_repo.parent / "cloud"
    cloud.mkdir()
    for name, text in (("aws", AWS), ("terraform", TERRAFORM)):
        (cloud / name).write_text(text, encoding="utf-8")
        (cloud / name).chmod(0o755)
    (cloud / "node").symlink_to(tools.path("node"))

    def bootstrap(**environment: str) -> tuple[int, str, list[str]]:
        (cloud / "diary").unlink(missing_ok=True)
        values = {"CLOUD": str(cloud), "YES": "1", **environment}
        result = run("infra/bootstrap.sh", cwd=own_repo, path=cloud, environment=values, check=False)  # fmt: skip
        diary = cloud / "diary"
        lines = diary.read_text(encoding="utf-8").splitlines() if diary.exists() else []
        assert not (own_repo / BOOTSTRAP / "local_override.tf").exists()
        return result.returncode, result.stderr, lines

    state = own_repo / BOOTSTRAP / "111122223333.tfstate"
    # It stops before it has made anything, and then before the state is in the bucket.
    assert bootstrap(STOP="1")[0] != 0 and not (cloud / "bucket").exists()
    assert bootstrap(ENVS="dev", LOSE="1")[0] != 0 and state.exists()
    status, said, diary = bootstrap(ENVS="dev")
    assert status == 0, said
    assert [line.split()[:2] for line in diary] == [
        ["local=yes", "init"],
        ["local=yes", "apply"],
        ["local=no", "init"],
        ["local=no", "output"],
    ]
    assert diary[1].endswith('-var environments=["dev"] -var registry=true')
    assert "-backend-config=bucket=acme-shop-state-111122223333" in diary[2]
    assert (cloud / "state").exists() and not state.exists()
    backend = (own_repo / "infra/envs/dev/state.tfbackend").read_text(encoding="utf-8")
    assert backend == 'bucket = "acme-shop-state-111122223333"\nkms_key_id = "KEY"\n'
    variables = own_repo / "infra/github-variables.json"
    known = json.loads(variables.read_text(encoding="utf-8"))
    known["environments"]["plan-production"] = {"AWS_ROLE_ARN": "of another account"}
    variables.write_text(json.dumps(known), encoding="utf-8")

    # Again, from another machine: the answers are those of last time.
    status, said, diary = bootstrap()
    assert status == 0, said
    assert all(line.startswith("local=no") for line in diary)
    assert '-var environments=["dev","staging"] -var registry=false' in " ".join(diary)
    assert json.loads(variables.read_text(encoding="utf-8")) == known

    # A bucket whose state nobody has here is not made a second time.
    (cloud / "state").unlink()
    status, said, diary = bootstrap()
    assert status == 1 and "should run it again. Nothing was changed" in said and not diary

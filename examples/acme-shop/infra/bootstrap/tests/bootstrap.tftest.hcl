mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }

  override_resource {
    target          = module.state_key.aws_kms_key.this
    override_during = plan
    values          = { arn = "arn:aws:kms:eu-west-1:111122223333:key/state" }
  }
}

variables {
  environments = ["dev", "staging", "production"]
}

run "account" {
  command = plan

  assert {
    condition     = aws_s3_bucket_versioning.state.versioning_configuration[0].status == "Enabled"
    error_message = "a state that was overwritten must be there still"
  }

  assert {
    condition = alltrue([
      for rule in aws_s3_bucket_server_side_encryption_configuration.state.rule :
      rule.apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms" && rule.apply_server_side_encryption_by_default[0].kms_master_key_id == "arn:aws:kms:eu-west-1:111122223333:key/state"
    ])
    error_message = "state must be encrypted with its key"
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.state.block_public_acls,
      aws_s3_bucket_public_access_block.state.block_public_policy,
      aws_s3_bucket_public_access_block.state.ignore_public_acls,
      aws_s3_bucket_public_access_block.state.restrict_public_buckets,
    ])
    error_message = "state must be private"
  }

  assert {
    condition = [for statement in jsondecode(aws_s3_bucket_policy.state.policy).Statement : "${statement.Effect} ${statement.Action} ${jsonencode(statement.Condition)}"] == [
      "Deny s3:* {\"Bool\":{\"aws:SecureTransport\":\"false\"}}",
      "Deny s3:* {\"StringNotEquals\":{\"aws:PrincipalAccount\":\"111122223333\"}}",
    ]
    error_message = "state must be read and written by this account, and encrypted on the way"
  }

  assert {
    condition     = length(aws_guardduty_detector.this) == 0
    error_message = "GuardDuty is for the whole account: only when somebody asks for it"
  }

  assert {
    condition     = output.state_backends["dev"] == { bucket = "acme-shop-state-111122223333", kms_key_id = "arn:aws:kms:eu-west-1:111122223333:key/state" }
    error_message = "Terraform must find the state where it is made"
  }
  assert {
    condition     = toset(keys(local.roles)) == toset(concat(["acme-shop-publish", "acme-shop-pull"], flatten([for name in var.environments : ["acme-shop-${name}-plan", "acme-shop-${name}-apply"]])))
    error_message = "each environment must have a role that reads and one that writes, and the registry one that pushes and one that pulls"
  }
}

run "permissions" {
  command = plan

  module {
    source = "./tests/permissions"
  }

  variables {
    # dev stands for every environment: its name is the only difference.
    policies = {
      for name, policy in run.account.policies : replace(replace(name, "acme-shop-dev-", ""), "acme-shop-", "") => policy
      if !startswith(name, "acme-shop-staging-") && !startswith(name, "acme-shop-production-")
    }
    shorter = {
      for folder in fileset("../../services", "*/package.json") : "arn:aws:ecr:eu-west-1:111122223333:repository/acme-shop/${dirname(folder)}" => "ecr:repository/acme-shop/SERVICE"
    }
  }

  assert {
    condition     = length(output.without_reason) == 0
    error_message = "a role may do what tests/permissions/reasons.yaml has no reason for:\n${join("\n", output.without_reason)}"
  }

  assert {
    condition     = length(output.without_use) == 0
    error_message = "tests/permissions/reasons.yaml has what no role may do:\n${join("\n", output.without_use)}"
  }
}

run "watched" {
  command = plan

  variables {
    guardduty = true
  }

  assert {
    condition     = { for name, feature in aws_guardduty_detector_feature.this : name => feature.status } == { EKS_AUDIT_LOGS = "ENABLED", RUNTIME_MONITORING = "ENABLED" } && aws_guardduty_detector.this[0].enable
    error_message = "GuardDuty must watch audit logs and nodes"
  }
}

run "what_services_may_be_given" {
  command = plan

  variables {
    service_actions = ["s3:GetObject"]
  }

  assert {
    condition     = alltrue([for boundary in aws_iam_policy.boundary : [for statement in jsondecode(boundary.policy).Statement : statement.Action if statement.Sid == "Services"] == [["s3:GetObject"]]])
    error_message = "the boundary must let services be given what is named, and nothing else"
  }
}
run "registry_in_another_account" {
  command = plan

  variables {
    registry = false
  }

  assert {
    condition     = !contains(keys(local.roles), "acme-shop-publish") && output.repositories == {}
    error_message = "one account holds the images"
  }
}
run "refuses_an_environment_that_is_none" {
  command = plan

  variables {
    environments = ["demo"]
  }

  expect_failures = [var.environments]
}

run "refuses_everything_for_services" {
  command = plan

  variables {
    service_actions = ["iam:CreateUser"]
  }

  expect_failures = [var.service_actions]
}

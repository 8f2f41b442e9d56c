mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-west-1a", "eu-west-1b", "eu-west-1c", "eu-west-1d"] }
  }

  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }
}

variables {
  environment = "dev"
  cidr        = "10.0.0.0/16"
  node_groups = {
    general = { instance_types = ["m6i.large"], min_size = 2, desired_size = 2, max_size = 4 }
  }
}

run "facts" {
  command = plan

  assert {
    condition = output.environment_facts == {
      environment      = "dev"
      cluster          = "acme-shop-dev"
      region           = "eu-west-1"
      registry         = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
      loadBalancerCidr = "10.0.240.0/20"
    }
    error_message = "facts must be those of this environment, under the names that deploy/environments has"
  }
}

run "services" {
  command = plan

  assert {
    condition     = length(output.services) > 0 && alltrue([for service in output.services : fileexists("../../../services/${service}/package.json")])
    error_message = "services must be the folders in services/"
  }
}

run "identities" {
  command = plan

  assert {
    condition = output.service_accounts == merge(
      { for service in output.services : service => "apps/${service}" },
      { external-secrets = "external-secrets/external-secrets" },
      { kyverno-admission = "kyverno/kyverno-admission-controller", kyverno-reports = "kyverno/kyverno-reports-controller" },
    )
    error_message = "each service must have a role of its own, and of the platform those that ask AWS for something"
  }
}

run "refuses_permissions_of_nobody" {
  command = plan

  variables {
    service_permissions = { nobody = {} }
  }

  expect_failures = [var.service_permissions]
}

run "versions" {
  command = plan

  assert {
    condition     = output.cluster.kubernetes_version == local.kubernetes_version && output.cluster.supported_until == local.supported_versions[local.kubernetes_version]
    error_message = "the cluster must have the version of versions.tf"
  }
  assert {
    condition     = startswith(local.addon_versions["kube-proxy"], "v${local.kubernetes_version}.")
    error_message = "kube-proxy must be of the same minor version as Kubernetes"
  }
}

run "keys_of_their_own" {
  command = plan

  override_resource {
    target          = module.logs_key.aws_kms_key.this
    override_during = plan
    values          = { arn = "arn:aws:kms:eu-west-1:111122223333:key/logs" }
  }

  override_resource {
    target          = module.secrets_key.aws_kms_key.this
    override_during = plan
    values          = { arn = "arn:aws:kms:eu-west-1:111122223333:key/secrets" }
  }
  override_resource {
    target          = module.volumes_key.aws_kms_key.this
    override_during = plan
    values          = { arn = "arn:aws:kms:eu-west-1:111122223333:key/volumes" }
  }
  assert {
    condition = output.keys == {
      secrets = "arn:aws:kms:eu-west-1:111122223333:key/secrets"
      logs    = "arn:aws:kms:eu-west-1:111122223333:key/logs"
      volumes = "arn:aws:kms:eu-west-1:111122223333:key/volumes"
    }
    error_message = "secrets, logs and disks must each have a key"
  }
}

run "two_zones" {
  command = plan

  variables {
    zone_count = 2
  }
}

run "refuses_one_zone_in_production" {
  command = plan

  variables {
    environment = "production"
    zone_count  = 1
  }

  expect_failures = [var.zone_count]
}

run "refuses_one_nat_gateway_in_production" {
  command = plan

  variables {
    environment        = "production"
    single_nat_gateway = true
  }

  expect_failures = [var.single_nat_gateway]
}

run "refuses_production_without_protection" {
  command = plan

  variables {
    environment         = "production"
    deletion_protection = false
  }

  expect_failures = [var.deletion_protection]
}
run "refuses_production_on_spot_alone" {
  command = plan

  variables {
    environment = "production"
    node_groups = { general = { instance_types = ["m6i.large", "m6a.large", "m5.large"], capacity_type = "SPOT", min_size = 3, desired_size = 3, max_size = 9 } }
  }

  expect_failures = [var.node_groups]
}
run "refuses_logs_of_less_than_a_year" {
  command = plan

  variables {
    log_retention_days = 90
  }

  expect_failures = [var.log_retention_days]
}

run "refuses_a_name_that_is_none" {
  command = plan

  variables {
    environment = "Dev"
  }

  expect_failures = [var.environment]
}
run "registry_of_another_account" {
  command = plan

  variables {
    registry_account_id = "444455556666"
  }

  assert {
    condition     = output.environment_facts.registry == "444455556666.dkr.ecr.eu-west-1.amazonaws.com"
    error_message = "images must come from the account that holds them"
  }
}

run "refuses_an_account_that_is_none" {
  command = plan

  variables {
    registry_account_id = "shop"
  }

  expect_failures = [var.registry_account_id]
}

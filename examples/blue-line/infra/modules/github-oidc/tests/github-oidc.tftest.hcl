mock_provider "aws" {}

variables {
  owner                    = "acme"
  repository               = "shop"
  account_id               = "111122223333"
  partition                = "aws"
  permissions_boundary_arn = "arn:aws:iam::111122223333:policy/shop-ci-boundary"
  roles = {
    shop-pull = {
      description  = "Pulls images"
      environments = ["promote", "rescan"]
      policies     = { permissions = "{}" }
    }
  }
}

run "trust" {
  command = plan

  assert {
    condition = jsondecode(aws_iam_role.this["shop-pull"].assume_role_policy).Statement == [{
      Sid       = "GitHubActions"
      Effect    = "Allow"
      Principal = { Federated = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com" }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
          "token.actions.githubusercontent.com:sub" = ["repo:acme/shop:environment:promote", "repo:acme/shop:environment:rescan"]
        }
      }
    }]
    error_message = "a role must believe GitHub, for this repository and these environments, each by StringEquals, and nobody else"
  }

  assert {
    condition     = aws_iam_role.this["shop-pull"].permissions_boundary == "arn:aws:iam::111122223333:policy/shop-ci-boundary"
    error_message = "a role of a job must be capped by the boundary"
  }

  assert {
    condition     = aws_iam_role.this["shop-pull"].max_session_duration == 3600
    error_message = "a job's credentials must end after an hour"
  }

  assert {
    condition     = { for key, policy in aws_iam_policy.this : key => "${policy.name} ${policy.policy} ${aws_iam_role_policy_attachment.this[key].role}" } == { "shop-pull/permissions" = "shop-pull-permissions {} shop-pull" }
    error_message = "a role must have the policies that are given, and no other"
  }

  assert {
    condition     = aws_iam_openid_connect_provider.github[0].url == "https://token.actions.githubusercontent.com" && aws_iam_openid_connect_provider.github[0].client_id_list == toset(["sts.amazonaws.com"])
    error_message = "the provider must be that of GitHub Actions, for tokens that are meant for AWS"
  }
}

run "subject_with_numbers" {
  command = plan

  variables {
    owner_id      = "9919"
    repository_id = "123456"
  }

  assert {
    condition     = jsondecode(aws_iam_role.this["shop-pull"].assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"] == ["repo:acme@9919/shop@123456:environment:promote", "repo:acme@9919/shop@123456:environment:rescan"]
    error_message = "with numbers, a subject must be repo:OWNER@ID/REPOSITORY@ID:environment:NAME"
  }
}

run "provider_that_is_there" {
  command = plan

  variables {
    has_provider = true
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0
    error_message = "an account can have GitHub's provider once only"
  }
}

run "refuses_any_owner" {
  command = plan

  variables {
    owner = "*"
  }

  expect_failures = [var.owner]
}

run "refuses_any_repository" {
  command = plan

  variables {
    repository = "shop*"
  }

  expect_failures = [var.repository]
}

run "refuses_any_environment" {
  command = plan

  variables {
    roles = { shop-pull = { description = "Pulls images", environments = ["*"], policies = {} } }
  }

  expect_failures = [var.roles]
}

run "refuses_a_branch_for_an_environment" {
  command = plan

  variables {
    roles = { shop-pull = { description = "Pulls images", environments = ["release:ref:refs/heads/main"], policies = {} } }
  }

  expect_failures = [var.roles]
}

run "refuses_a_role_for_no_environment" {
  command = plan

  variables {
    roles = { shop-pull = { description = "Pulls images", environments = [], policies = {} } }
  }

  expect_failures = [var.roles]
}

run "refuses_one_number" {
  command = plan

  variables {
    repository_id = "123456"
  }

  expect_failures = [var.repository_id]
}

run "refuses_a_policy_that_aws_would_refuse" {
  command = plan

  variables {
    roles = { shop-pull = { description = "Pulls images", environments = ["rescan"], policies = { permissions = format("%06145d", 0) } } }
  }

  expect_failures = [var.roles]
}

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  repositories = ["shop/orders", "shop/payments"]
  key_arn      = "arn:aws:kms:eu-west-1:111122223333:key/11111111-2222-3333-4444-555555555555"
}

run "repositories" {
  command = plan

  assert {
    condition     = toset([for repository in aws_ecr_repository.this : repository.name]) == toset(["shop/orders", "shop/payments"])
    error_message = "each service must have a repository"
  }

  assert {
    condition     = alltrue([for repository in aws_ecr_repository.this : repository.image_tag_mutability == "IMMUTABLE"])
    error_message = "a tag must never move: image_tag_mutability = \"IMMUTABLE\""
  }

  assert {
    condition     = alltrue([for repository in aws_ecr_repository.this : repository.image_scanning_configuration[0].scan_on_push])
    error_message = "an image must be scanned when it arrives: scan_on_push = true"
  }

  assert {
    condition     = alltrue([for repository in aws_ecr_repository.this : repository.encryption_configuration[0].encryption_type == "KMS" && repository.encryption_configuration[0].kms_key == var.key_arn])
    error_message = "images must be encrypted with the registry's key"
  }

  assert {
    condition     = alltrue([for repository in aws_ecr_repository.this : !coalesce(repository.force_delete, false)])
    error_message = "a repository with images must not be deleted"
  }

  assert {
    condition     = length(aws_ecr_repository_policy.this) == 0
    error_message = "without other accounts, nobody else may pull"
  }
}

run "old_images" {
  command = plan

  assert {
    condition = alltrue(flatten([for policy in aws_ecr_lifecycle_policy.this : [
      for rule in jsondecode(policy.policy).rules : rule.selection.tagStatus == "tagged" && rule.selection.tagPatternList == ["release-*"]
    ]]))
    error_message = "rules must name the tags of releases: another rule would take signatures (sha256-DIGEST.sig, .att) or platforms, which have no tag, from an image that runs"
  }

  assert {
    condition = alltrue([for policy in aws_ecr_lifecycle_policy.this : [
      for rule in jsondecode(policy.policy).rules : "${rule.action.type} ${rule.selection.countType} ${rule.selection.countNumber}"
    ] == ["transition sinceImagePulled 180", "expire sinceImageTransitioned 365"]])
    error_message = "only what nobody pulls may go, first to the archive"
  }
}

run "other_accounts" {
  command = plan

  variables {
    pull_account_ids = ["444455556666"]
  }

  assert {
    condition = alltrue([for policy in aws_ecr_repository_policy.this : jsondecode(policy.policy).Statement == [{
      Sid       = "PullFromOtherAccounts"
      Effect    = "Allow"
      Principal = { AWS = ["arn:aws:iam::444455556666:root"] }
      Action    = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    }]]) && length(aws_ecr_repository_policy.this) == 2
    error_message = "other accounts may pull, those that are named, and nothing else"
  }
}

run "refuses_a_repository_of_nobody" {
  command = plan

  variables {
    repositories = ["orders"]
  }

  expect_failures = [var.repositories]
}

run "refuses_everybody" {
  command = plan

  variables {
    pull_account_ids = ["*"]
  }

  expect_failures = [var.pull_account_ids]
}

run "refuses_to_archive_at_once" {
  command = plan

  variables {
    archive_after_days = 1
  }

  expect_failures = [var.archive_after_days]
}

run "refuses_to_delete_at_once" {
  command = plan

  variables {
    delete_after_days = 1
  }

  expect_failures = [var.delete_after_days]
}

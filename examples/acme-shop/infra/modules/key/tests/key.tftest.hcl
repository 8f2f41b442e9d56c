mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  name        = "shop-dev-logs"
  description = "Logs of shop-dev"
}

run "key" {
  command = plan

  assert {
    condition     = aws_kms_key.this.enable_key_rotation
    error_message = "a key must be rotated: enable_key_rotation = true"
  }

  assert {
    condition     = aws_kms_key.this.deletion_window_in_days == 30
    error_message = "a key that is deleted by mistake must be there for 30 days"
  }

  assert {
    condition = jsondecode(aws_kms_key.this.policy).Statement == [{
      Sid       = "AccountAdministration"
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::111122223333:root" }
      Action    = "kms:*"
      Resource  = "*"
    }]
    error_message = "without statements, the policy must leave the key to the account's IAM and to nobody else"
  }

  assert {
    condition     = aws_kms_alias.this.name == "alias/shop-dev-logs"
    error_message = "a key must be found under its name"
  }
}

run "statements" {
  command = plan

  variables {
    statements = [{ Sid = "Logs", Effect = "Allow", Principal = { Service = "logs.eu-west-1.amazonaws.com" }, Action = ["kms:Decrypt"], Resource = "*" }]
  }

  assert {
    condition     = [for statement in jsondecode(aws_kms_key.this.policy).Statement : statement.Sid] == ["AccountAdministration", "Logs"]
    error_message = "statements must be added to the policy"
  }
}

run "refuses_a_name_that_is_none" {
  command = plan

  variables {
    name = "Shop Logs"
  }

  expect_failures = [var.name]
}

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
}

variables {
  name                     = "shop-dev"
  cluster_name             = "shop-dev"
  permissions_boundary_arn = "arn:aws:iam::111122223333:policy/shop-dev-boundary"
  identities = {
    orders = {
      namespace       = "apps"
      service_account = "orders"
    }
    external-secrets = {
      namespace       = "external-secrets"
      service_account = "external-secrets"
      permissions = {
        ReadSecrets = {
          actions   = ["secretsmanager:GetSecretValue"]
          resources = ["arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop/dev/*"]
        }
      }
    }
  }
}

run "identities" {
  command = plan

  assert {
    condition = jsondecode(aws_iam_role.this["orders"].assume_role_policy).Statement == [{
      Sid       = "PodIdentity"
      Effect    = "Allow"
      Principal = { Service = "pods.eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Condition = {
        StringEquals = {
          "aws:RequestTag/eks-cluster-arn"            = "arn:aws:eks:eu-west-1:111122223333:cluster/shop-dev"
          "aws:RequestTag/kubernetes-namespace"       = "apps"
          "aws:RequestTag/kubernetes-service-account" = "orders"
        }
      }
    }]
    error_message = "a role must believe one service account, of one namespace of one cluster"
  }

  assert {
    condition     = alltrue([for role in aws_iam_role.this : role.permissions_boundary == var.permissions_boundary_arn])
    error_message = "a role of pods must be capped by the boundary"
  }

  assert {
    condition     = keys(aws_iam_role_policy.this) == ["external-secrets"]
    error_message = "who has no permissions may do nothing"
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.this["external-secrets"].policy).Statement == [{
      Sid      = "ReadSecrets"
      Effect   = "Allow"
      Action   = ["secretsmanager:GetSecretValue"]
      Resource = ["arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop/dev/*"]
    }]
    error_message = "a role may do what is written for it, and nothing else"
  }

  assert {
    condition = { for key, association in aws_eks_pod_identity_association.this : key => "${association.cluster_name} ${association.namespace}/${association.service_account}" } == {
      external-secrets = "shop-dev external-secrets/external-secrets"
      orders           = "shop-dev apps/orders"
    }
    error_message = "each role must be given to its service account"
  }
}

run "refuses_every_action" {
  command = plan

  variables {
    identities = { orders = { namespace = "apps", service_account = "orders", permissions = { All = { actions = ["s3:*"], resources = ["arn:aws:s3:::shop/*"] } } } }
  }

  expect_failures = [var.identities]
}

run "refuses_every_resource" {
  command = plan

  variables {
    identities = { orders = { namespace = "apps", service_account = "orders", permissions = { All = { actions = ["s3:GetObject"], resources = ["*"] } } } }
  }

  expect_failures = [var.identities]
}

run "refuses_every_service_account" {
  command = plan

  variables {
    identities = { orders = { namespace = "apps", service_account = "*" } }
  }

  expect_failures = [var.identities]
}

run "refuses_a_name_that_is_too_long" {
  command = plan

  variables {
    identities = { orders-of-customers-who-never-came-back-and-whom-nobody-remembers = { namespace = "apps", service_account = "orders" } }
  }

  expect_failures = [var.identities]
}

# The roles that jobs in GitHub take. What each may do is in permissions.tf; .github/workflows names the
# environments of GitHub that stand here, and `make check` compares them.

locals {
  registry_roles = {}
  plan_roles = {
    for name in var.environments : "${local.project}-${name}-plan" => {
      description  = "Shows what Terraform would change in ${local.project}-${name}"
      environments = ["plan-${name}"]
      policies = {
        read  = jsonencode({ Version = "2012-10-17", Statement = local.read[name] })
        state = jsonencode({ Version = "2012-10-17", Statement = local.read_state[name] })
      }
    }
  }

  apply_roles = {
    for name in var.environments : "${local.project}-${name}-apply" => {
      description  = "Lets Terraform change ${local.project}-${name}"
      environments = ["apply-${name}"]
      policies = merge(
        {
          read  = jsonencode({ Version = "2012-10-17", Statement = local.read[name] })
          state = jsonencode({ Version = "2012-10-17", Statement = concat(local.read_state[name], local.write_state[name]) })
        },
        { for part, statements in local.write[name] : part => jsonencode({ Version = "2012-10-17", Statement = statements }) },
      )
    }
  }

  roles = merge(local.registry_roles, local.plan_roles, local.apply_roles)
}

module "github" {
  source = "../modules/github-oidc"

  owner                    = var.github_owner
  repository               = var.github_repository
  owner_id                 = var.github_owner_id
  repository_id            = var.github_repository_id
  account_id               = local.account_id
  partition                = local.partition
  has_provider             = var.has_github_provider
  permissions_boundary_arn = local.ci_boundary_arn
  roles                    = local.roles

  depends_on = [aws_iam_policy.boundary, aws_iam_policy.ci_boundary]
}

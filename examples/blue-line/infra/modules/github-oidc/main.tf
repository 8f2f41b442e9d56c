locals {
  issuer = "token.actions.githubusercontent.com"

  # GitHub writes the subject in one of two forms. The one with numbers stays true when a name is given up and
  # somebody else takes it; `make github-setup` tells which form a repository has.
  repository = (
    var.owner_id == null
    ? "${var.owner}/${var.repository}"
    : "${var.owner}@${var.owner_id}/${var.repository}@${var.repository_id}"
  )

  policies = merge([
    for role, settings in var.roles : {
      for policy, text in settings.policies : "${role}/${policy}" => { role = role, name = policy, text = text }
    }
  ]...)
}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.has_provider ? 0 : 1

  url            = "https://${local.issuer}"
  client_id_list = ["sts.amazonaws.com"]
}

# A role for jobs of this repository that run in one of these environments of GitHub, and for nobody else.
# Which branches an environment takes, and who approves its jobs, are settings of GitHub (make github-setup).
resource "aws_iam_role" "this" {
  for_each = var.roles

  name                 = each.key
  description          = each.value.description
  max_session_duration = 3600
  permissions_boundary = var.permissions_boundary_arn

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "GitHubActions"
      Effect    = "Allow"
      Principal = { Federated = "arn:${var.partition}:iam::${var.account_id}:oidc-provider/${local.issuer}" }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          "${local.issuer}:aud" = "sts.amazonaws.com"
          "${local.issuer}:sub" = [for name in each.value.environments : "repo:${local.repository}:environment:${name}"]
        }
      }
    }]
  })

  depends_on = [aws_iam_openid_connect_provider.github]
}

resource "aws_iam_policy" "this" {
  for_each = local.policies

  name        = "${each.value.role}-${each.value.name}"
  description = "Part of what ${each.value.role} may do"
  policy      = each.value.text
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each = local.policies

  role       = aws_iam_role.this[each.value.role].name
  policy_arn = aws_iam_policy.this[each.key].arn
}

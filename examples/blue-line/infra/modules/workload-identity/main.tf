data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  cluster_arn = "arn:${data.aws_partition.this.partition}:eks:${data.aws_region.this.region}:${data.aws_caller_identity.this.account_id}:cluster/${var.name}"
}

# The pods of one service account in one namespace of one cluster, and nobody else: the EKS Pod Identity agent
# names them in the tags of the session.
resource "aws_iam_role" "this" {
  for_each = var.identities

  name                 = "${var.name}-${each.key}"
  description          = "Pods of ${each.value.namespace}/${each.value.service_account} in ${var.name}"
  permissions_boundary = var.permissions_boundary_arn

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "PodIdentity"
      Effect    = "Allow"
      Principal = { Service = "pods.eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Condition = {
        StringEquals = {
          "aws:RequestTag/eks-cluster-arn"            = local.cluster_arn
          "aws:RequestTag/kubernetes-namespace"       = each.value.namespace
          "aws:RequestTag/kubernetes-service-account" = each.value.service_account
        }
      }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  for_each = { for name, identity in var.identities : name => identity if length(identity.permissions) > 0 }

  name = "permissions"
  role = aws_iam_role.this[each.key].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [for sid, permission in each.value.permissions : {
      Sid      = sid
      Effect   = "Allow"
      Action   = permission.actions
      Resource = permission.resources
    }]
  })
}

resource "aws_eks_pod_identity_association" "this" {
  for_each = var.identities

  cluster_name    = var.cluster_name
  namespace       = each.value.namespace
  service_account = each.value.service_account
  role_arn        = aws_iam_role.this[each.key].arn

  # A pod that starts in between would have a role that may do nothing.
  depends_on = [aws_iam_role_policy.this]
}

data "aws_availability_zones" "this" {
  state = "available"

  # Local zones are no place for a control plane.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  project    = "acme-shop"
  name       = "${local.project}-${var.environment}"
  account_id = data.aws_caller_identity.this.account_id
  partition  = data.aws_partition.this.partition
  region     = data.aws_region.this.region
  zones      = slice(sort(data.aws_availability_zones.this.names), 0, var.zone_count)

  # It caps every role here; ../../bootstrap makes it, and lets no role be made without.
  permissions_boundary_arn = "arn:${local.partition}:iam::${local.account_id}:policy/${local.name}-boundary"

  # The folders are the list: nothing else names the services.
  services = toset([for file in fileset("${path.module}/../../../services", "*/package.json") : dirname(file)])

  # Kubernetes Services. The tenth address is that of the cluster's DNS.
  service_cidr = "172.20.0.0/16"
}

# ---------------------------------------------------------------------------- keys

module "secrets_key" {
  source = "../key"

  name        = "${local.name}-secrets"
  description = "Kubernetes Secrets of ${local.name}"
}

module "logs_key" {
  source = "../key"

  name        = "${local.name}-logs"
  description = "Logs of ${local.name}"

  statements = [{
    Sid       = "CloudWatchLogs"
    Effect    = "Allow"
    Principal = { Service = "logs.${local.region}.amazonaws.com" }
    Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    Resource  = "*"
    Condition = {
      ArnLike = {
        "kms:EncryptionContext:aws:logs:arn" = [
          "arn:${local.partition}:logs:${local.region}:${local.account_id}:log-group:/aws/eks/${local.name}/*",
          "arn:${local.partition}:logs:${local.region}:${local.account_id}:log-group:/aws/vpc/${local.name}/*",
        ]
      }
    }
  }]
}
module "volumes_key" {
  source = "../key"

  name        = "${local.name}-volumes"
  description = "Disks of the nodes of ${local.name}"

  # As AWS words it for its own key for disks: who may use EC2 in this account may use the key through
  # it. To name the role of EC2 Auto Scaling instead, it would have to be there before the key.
  statements = [{
    Sid       = "ThroughEC2"
    Effect    = "Allow"
    Principal = { AWS = "*" }
    Action    = ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    Resource  = "*"
    Condition = {
      StringEquals = {
        "kms:CallerAccount" = local.account_id
        "kms:ViaService"    = "ec2.${local.region}.amazonaws.com"
      }
    }
  }]
}
# ---------------------------------------------------------------------------- network and cluster

module "network" {
  source = "../network"

  name                     = local.name
  permissions_boundary_arn = local.permissions_boundary_arn
  cidr                     = var.cidr
  other_networks           = merge(var.connected_networks, { "Kubernetes Services" = local.service_cidr })
  zones                    = local.zones
  single_nat_gateway       = var.single_nat_gateway
  interface_endpoints      = var.interface_endpoints
  log_retention_days       = var.log_retention_days
  logs_key_arn             = module.logs_key.arn
}

module "cluster" {
  source = "../cluster"

  name                     = local.name
  permissions_boundary_arn = local.permissions_boundary_arn
  kubernetes_version       = local.kubernetes_version
  supported_versions       = local.supported_versions
  vpc_id                   = module.network.vpc_id
  subnet_ids               = module.network.private_subnet_ids
  service_cidr             = local.service_cidr
  endpoint_public_access   = var.endpoint_public_access
  public_access_cidrs      = var.public_access_cidrs
  api_clients              = merge(var.connected_networks, { vpc = var.cidr })
  access                   = var.access
  deletion_protection      = var.deletion_protection
  log_retention_days       = var.log_retention_days
  logs_key_arn             = module.logs_key.arn
  secrets_key_arn          = module.secrets_key.arn
  addon_versions           = { for name in ["eks-pod-identity-agent", "kube-proxy", "vpc-cni"] : name => local.addon_versions[name] }
}
module "nodes" {
  source = "../nodes"

  cluster_name             = module.cluster.name
  name                     = local.name
  permissions_boundary_arn = local.permissions_boundary_arn
  kubernetes_version       = local.kubernetes_version
  subnet_ids               = module.network.private_subnet_ids
  volumes_key_arn          = module.volumes_key.arn
  groups                   = var.node_groups
  addon_versions           = { for name in ["aws-ebs-csi-driver", "coredns"] : name => local.addon_versions[name] }
}
# ---------------------------------------------------------------------------- who pods are in AWS

locals {
  # The ends of roles' names that are taken: no service may be called so.
  reserved_names = ["apply", "cluster", "ebs-csi", "external-secrets", "flow-logs", "kyverno-admission", "kyverno-reports", "nodes", "plan", "vpc-cni"]

  identities_of_platform = {
    external-secrets = {
      namespace       = "external-secrets"
      service_account = "external-secrets"
      permissions = {
        ReadSecrets = {
          actions   = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
          resources = ["arn:${local.partition}:secretsmanager:${local.region}:${local.account_id}:secret:${local.project}/${var.environment}/*"]
        }
      }
    }
    # They look for the signatures of images.
    kyverno-admission = { namespace = "kyverno", service_account = "kyverno-admission-controller", permissions = local.pull_images }
    kyverno-reports   = { namespace = "kyverno", service_account = "kyverno-reports-controller", permissions = local.pull_images }
  }
  pull_images = {
    Login = {
      actions   = ["ecr:GetAuthorizationToken"]
      resources = ["*"]
    }
    Pull = {
      actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      resources = ["arn:${local.partition}:ecr:${local.region}:${coalesce(var.registry_account_id, local.account_id)}:repository/${local.project}/*"]
    }
  }
  identities_of_services = {
    for service in local.services : service => {
      namespace       = "apps"
      service_account = service
      permissions     = lookup(var.service_permissions, service, {})
    }
  }
}

module "identities" {
  source = "../workload-identity"

  name                     = local.name
  cluster_name             = module.cluster.name
  permissions_boundary_arn = local.permissions_boundary_arn
  identities               = merge(local.identities_of_services, local.identities_of_platform)
}

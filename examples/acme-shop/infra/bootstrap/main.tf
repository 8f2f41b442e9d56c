# What an AWS account needs before Terraform and GitHub can work with it; see README.md. A person with
# administrator's rights runs this once, with `make bootstrap-aws`: nothing in GitHub can change it.
provider "aws" {
  region = "eu-west-1"

  default_tags {
    tags = {
      project = "acme-shop"
    }
  }
}

data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  project    = "acme-shop"
  account_id = data.aws_caller_identity.this.account_id
  partition  = data.aws_partition.this.partition
  region     = data.aws_region.this.region

  # Written, not read from what is made: so a plan shows every policy in full.
  iam_arn             = "arn:${local.partition}:iam::${local.account_id}"
  ec2_arn             = "arn:${local.partition}:ec2:${local.region}:${local.account_id}"
  eks_arn             = "arn:${local.partition}:eks:${local.region}:${local.account_id}"
  kms_arn             = "arn:${local.partition}:kms:${local.region}:${local.account_id}"
  logs_arn            = "arn:${local.partition}:logs:${local.region}:${local.account_id}"
  state_bucket        = "${local.project}-state-${local.account_id}"
  state_bucket_arn    = "arn:${local.partition}:s3:::${local.state_bucket}"
  boundary_arns       = { for name in var.environments : name => "${local.iam_arn}:policy/${local.project}-${name}-boundary" }
  ci_boundary_arn     = "${local.iam_arn}:policy/${local.project}-ci-boundary"
  github_provider_arn = "${local.iam_arn}:oidc-provider/token.actions.githubusercontent.com"
  backend             = { bucket = aws_s3_bucket.state.bucket, kms_key_id = module.state_key.arn }
}

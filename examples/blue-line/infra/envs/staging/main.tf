# The values of staging, and nothing else. What they mean: ../../modules/environment/README.md.
# tflint-ignore: terraform_required_providers # ../../modules/environment/versions.tf has its version
provider "aws" {
  region = "us-east-1"

  default_tags {
    tags = {
      project     = "blue-line"
      environment = "staging"
    }
  }
}

module "environment" {
  source = "../../modules/environment"

  environment         = "staging"
  cidr                = "10.1.0.0/16"
  zone_count          = 3
  single_nat_gateway  = true
  interface_endpoints = false
  log_retention_days  = 365
  deletion_protection = true

  # Who may use the Kubernetes API, for example
  #   operators = { principal_arn = "arn:aws:iam::111122223333:role/operators", policy = "AmazonEKSClusterAdminPolicy" }
  access = {}
}

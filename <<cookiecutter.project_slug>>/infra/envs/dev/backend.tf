# Bucket and key of the account are in infra/state.tfbackend, which `make bootstrap-aws` writes.
terraform {
  required_version = ">= 1.11.4, < 2.0.0"

  backend "s3" {
    key          = "dev/terraform.tfstate"
    region       = "<< cookiecutter.aws_region >>"
    encrypt      = true
    use_lockfile = true
  }
}

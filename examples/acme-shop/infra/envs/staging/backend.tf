# The bucket for state and its key are given to `terraform init` by a file beside this one, state.tfbackend:
# names of the account, which are in no file of this repository. `make bootstrap-aws` writes it.
terraform {
  required_version = ">= 1.11.4, < 2.0.0"

  backend "s3" {
    key          = "staging/terraform.tfstate"
    region       = "eu-west-1"
    encrypt      = true
    use_lockfile = true
  }
}

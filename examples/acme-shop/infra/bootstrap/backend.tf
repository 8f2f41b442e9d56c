# The bucket that it makes holds its own state too. ../bootstrap.sh begins without it, and then moves the state.
terraform {
  backend "s3" {
    key          = "bootstrap/terraform.tfstate"
    region       = "eu-west-1"
    encrypt      = true
    use_lockfile = true
  }
}

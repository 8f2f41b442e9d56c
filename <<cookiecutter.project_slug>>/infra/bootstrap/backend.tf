# The bucket that it makes holds its own state too. ../bootstrap.sh begins without it, and then moves the state.
terraform {
  backend "s3" {
    key          = "bootstrap/terraform.tfstate"
    region       = "<< cookiecutter.aws_region >>"
    encrypt      = true
    use_lockfile = true
  }
}

# The values of staging, judged by the rules of the modules. `make lint-infra` runs this.
mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["<< cookiecutter.aws_region >>a", "<< cookiecutter.aws_region >>b", "<< cookiecutter.aws_region >>c"] }
  }

  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_region" {
    defaults = { region = "<< cookiecutter.aws_region >>" }
  }
}

run "values" {
  command = plan

  assert {
    condition     = output.environment_facts.environment == "staging" && output.environment_facts.region == "<< cookiecutter.aws_region >>"
    error_message = "the folder must make its own environment, in the region that the provider has"
  }
}

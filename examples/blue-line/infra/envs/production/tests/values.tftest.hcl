# The values of production, judged by the rules of the modules. `make lint-infra` runs this.
mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["us-east-1a", "us-east-1b", "us-east-1c"] }
  }

  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_region" {
    defaults = { region = "us-east-1" }
  }
}

run "values" {
  command = plan

  assert {
    condition     = output.environment_facts.environment == "production" && output.environment_facts.region == "us-east-1"
    error_message = "the folder must make its own environment, in the region that the provider has"
  }
}

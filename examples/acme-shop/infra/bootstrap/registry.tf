# One registry for all environments: they run the same digest, so it is in one account, and others pull from it.

locals {
  # The folders are the list: nothing else names the services.
  services = toset([for file in fileset("${path.module}/../../services", "*/package.json") : dirname(file)])
}

module "registry_key" {
  source = "../modules/key"
  count  = var.registry ? 1 : 0

  name        = "${local.project}-registry"
  description = "Images of ${local.project}"
}

module "registry" {
  source = "../modules/registry"
  count  = var.registry ? 1 : 0

  repositories     = [for service in local.services : "${local.project}/${service}"]
  key_arn          = module.registry_key[0].arn
  pull_account_ids = var.pull_account_ids
}

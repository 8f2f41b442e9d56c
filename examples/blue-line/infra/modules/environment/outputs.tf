output "environment_facts" {
  description = "What deploy/environments/ENV/facts.yaml has of AWS; `make env-facts` writes it there."
  value = {
    environment      = var.environment
    cluster          = module.cluster.name
    region           = local.region
    registry         = "ghcr.io/blue-line"
    loadBalancerCidr = module.network.load_balancer_cidr
  }
}

output "cluster" {
  description = "Name, ARN and address of the cluster, and the version of Kubernetes with the day on which its support ends."
  value = {
    name               = module.cluster.name
    arn                = module.cluster.arn
    endpoint           = module.cluster.endpoint
    security_group_id  = module.cluster.security_group_id
    kubernetes_version = local.kubernetes_version
    supported_until    = local.supported_versions[local.kubernetes_version]
  }
}

output "network" {
  description = "IDs of VPC and subnets, and the addresses with which the cluster is seen outside."
  value = {
    vpc_id             = module.network.vpc_id
    private_subnet_ids = module.network.private_subnet_ids
    public_subnet_ids  = module.network.public_subnet_ids
    nat_addresses      = module.network.nat_addresses
  }
}

output "node_role_name" {
  description = "Name of the nodes' role."
  value       = module.cluster.node_role_name
}

output "keys" {
  description = "ARNs of the KMS keys."
  value = {
    secrets = module.secrets_key.arn
    logs    = module.logs_key.arn
  }
}

output "services" {
  description = "The services: the folders in services/."
  value       = local.services

  precondition {
    condition     = length(setintersection(local.services, local.reserved_names)) == 0
    error_message = "services/${join(", ", setintersection(local.services, local.reserved_names))}: a role of each environment is called so; give the service another name."
  }
}

output "service_accounts" {
  description = "Who has a role in AWS: NAMESPACE/SERVICE_ACCOUNT by the end of the role's name."
  value       = module.identities.service_accounts
}

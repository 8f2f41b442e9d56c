output "environment_facts" {
  description = "What `make env-facts` writes into deploy/environments/ENV/facts.yaml."
  value       = module.environment.environment_facts
}

output "cluster" {
  description = "Name, ARN, address and version of the cluster."
  value       = module.environment.cluster
}

output "network" {
  description = "IDs of VPC and subnets, and the addresses with which the cluster is seen outside."
  value       = module.environment.network
}

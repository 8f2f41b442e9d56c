output "name" {
  description = "Name of the cluster."
  value       = aws_eks_cluster.this.name
}

output "arn" {
  description = "ARN of the cluster."
  value       = aws_eks_cluster.this.arn
}

output "endpoint" {
  description = "Address of the Kubernetes API."
  value       = aws_eks_cluster.this.endpoint
}

output "security_group_id" {
  description = "ID of the security group that control plane and nodes share; EKS makes it."
  value       = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
}
output "node_role_name" {
  description = "Name of the nodes' role."
  value       = aws_iam_role.nodes.name
}

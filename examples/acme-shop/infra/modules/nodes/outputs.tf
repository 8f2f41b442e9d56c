output "node_role_name" {
  description = "Name of the nodes' role."
  value       = aws_iam_role.nodes.name
}

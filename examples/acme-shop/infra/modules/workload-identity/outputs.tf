output "role_arns" {
  description = "ARN of each role, by the end of its name."
  value       = { for name, role in aws_iam_role.this : name => role.arn }
}

output "service_accounts" {
  description = "NAMESPACE/SERVICE_ACCOUNT of each role, by the end of its name."
  value       = { for name, identity in var.identities : name => "${identity.namespace}/${identity.service_account}" }
}

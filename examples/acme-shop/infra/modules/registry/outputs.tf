output "repository_arns" {
  description = "ARN of each repository, by name."
  value       = { for name, repository in aws_ecr_repository.this : name => repository.arn }
}

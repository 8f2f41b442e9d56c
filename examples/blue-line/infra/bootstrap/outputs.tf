output "environments" {
  description = "The environments that are in this AWS account."
  value       = var.environments
}

output "state_backends" {
  description = "For each environment what `terraform init` has to know; bootstrap.sh writes it to infra/envs/ENV/state.tfbackend."
  value       = { for name in var.environments : name => local.backend }
}

output "github_variables" {
  description = "Variables of the repository on GitHub and of its environments; bootstrap.sh writes them to infra/github-variables.json."
  value = {
    repository = {}
    environments = merge([
      for name in var.environments : {
        for kind in ["plan", "apply"] : "${kind}-${name}" => {
          AWS_ROLE_ARN         = module.github.role_arns["${local.project}-${name}-${kind}"]
          TF_STATE_BUCKET      = local.backend.bucket
          TF_STATE_KMS_KEY_ARN = local.backend.kms_key_id
        }
      }
    ]...)
  }
}
output "policies" {
  description = "What the roles of jobs may do, and all boundaries: JSON by role and part of its policy. Hidden, as it is long."
  sensitive   = true
  value = merge(
    { for policy in concat(values(aws_iam_policy.boundary), [aws_iam_policy.ci_boundary]) : policy.name => policy.policy },
    flatten([
      for role, settings in local.roles : { for part, policy in settings.policies : "${role} ${part}" => policy }
    ])...
  )
}

# Compares policies with reasons.yaml: a line for each statement of a role in which they differ.
terraform {
  required_version = ">= 1.11"
}

variable "policies" {
  description = "JSON of policies, as the output of that name: those of a role begin with its name."
  type        = map(string)
}

variable "shorter" {
  description = "Texts in ARNs, and what reasons.yaml has for each."
  type        = map(string)
}

locals {
  reasons = yamldecode(file("${path.module}/reasons.yaml"))

  found = flatten([
    for name, policy in nonsensitive(var.policies) : [
      for statement in jsondecode(policy).Statement : "${split(" ", name)[0]} ${statement.Sid} ${jsonencode({
        effect = statement.Effect
        may    = sort(flatten([try(statement.Action, [])]))
        unless = sort(flatten([try(statement.NotAction, [])]))
        on     = sort(distinct([for resource in flatten([statement.Resource]) : replace(lookup(var.shorter, resource, resource), "/^arn:aws:([a-z0-9-]+):[a-z0-9-]*:[0-9]*:/", "$1:")]))
        if     = try(statement.Condition, {})
      })}"
    ]
  ])

  # A line without a reason counts as none.
  expected = flatten([
    for role, statements in local.reasons : [
      for sid, statement in statements : [
        for name in role == "plan" ? ["plan", "apply"] : [role] : "${name} ${sid} ${jsonencode({
          effect = try(statement.effect, "Allow")
          may    = sort([for action, reason in try(statement.may, {}) : action if length(reason) > 3])
          unless = sort([for action, reason in try(statement.unless, {}) : action if length(reason) > 3])
          on     = sort([for resource, reason in statement.resources : resource if length(reason) > 3])
          if     = try(statement.if, {})
        })}"
      ]
    ]
  ])
}

output "without_reason" {
  description = "What roles may do, and reasons.yaml does not have."
  value       = sort(setsubtract(local.found, local.expected))
}

output "without_use" {
  description = "What reasons.yaml has, and no role may do."
  value       = sort(setsubtract(local.expected, local.found))
}

variable "owner" {
  description = "User or organization on GitHub that owns the repository."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9](-?[A-Za-z0-9])*$", var.owner))
    error_message = "owner = ${var.owner}: write the one user or organization on GitHub that owns the repository; for example acme. A wildcard would let others in."
  }
}

variable "repository" {
  description = "Name of the repository on GitHub, without its owner."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+$", var.repository))
    error_message = "repository = ${var.repository}: write the name of the one repository, without its owner; for example shop. A wildcard would let other repositories in."
  }
}

variable "owner_id" {
  description = "Number of the owner on GitHub, when GitHub writes subjects with numbers; else null."
  type        = string
  default     = null

  validation {
    condition     = var.owner_id == null || can(regex("^[1-9][0-9]*$", var.owner_id))
    error_message = "owner_id: write the number that `gh api users/OWNER --jq .id` tells, or null."
  }
}

variable "repository_id" {
  description = "Number of the repository on GitHub, when GitHub writes subjects with numbers; else null."
  type        = string
  default     = null

  validation {
    condition     = var.repository_id == null || can(regex("^[1-9][0-9]*$", var.repository_id))
    error_message = "repository_id: write the number that `gh api repos/OWNER/REPOSITORY --jq .id` tells, or null."
  }

  validation {
    condition     = (var.repository_id == null) == (var.owner_id == null)
    error_message = "repository_id and owner_id belong together: write both, or null for both."
  }
}

# Given, so that a plan shows whom a role believes: data that a module reads is not known when it waits for
# something.
variable "account_id" {
  description = "The AWS account: 12 digits."
  type        = string
}

variable "partition" {
  description = "The partition of AWS: aws, aws-cn or aws-us-gov."
  type        = string
}

variable "has_provider" {
  description = "Whether the account has GitHub's OIDC provider already, as it can have one only; else it is made."
  type        = bool
  default     = false
}

variable "permissions_boundary_arn" {
  description = "Policy that caps what these roles may do, whatever their own policies say."
  type        = string
}

variable "roles" {
  description = "The roles by name: the environments of GitHub whose jobs may take one, and its policies, as JSON by name."
  type = map(object({
    description  = string
    environments = list(string)
    policies     = map(string)
  }))

  validation {
    condition     = alltrue([for role in values(var.roles) : length(role.environments) > 0 && alltrue([for name in role.environments : can(regex("^[a-z0-9][a-z0-9-]*$", name))])])
    error_message = "roles: write in environments the names of environments of GitHub, at least one for each role; for example [\"release\"]. A wildcard would let jobs in that nobody has approved."
  }

  validation {
    condition     = alltrue([for name in keys(var.roles) : length(name) <= 64])
    error_message = "roles: AWS takes names of at most 64 characters; write a shorter one for ${join(", ", [for name in keys(var.roles) : name if length(name) > 64])}."
  }

  validation {
    condition     = alltrue(flatten([for role in values(var.roles) : [for text in values(role.policies) : length(text) <= 6144]]))
    error_message = "roles: AWS takes policies of at most 6144 characters; divide that of ${join(", ", distinct(flatten([for name, role in var.roles : [for text in values(role.policies) : name if length(text) > 6144]])))}."
  }
}

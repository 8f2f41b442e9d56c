variable "environments" {
  description = "The environments that are in this AWS account."
  type        = set(string)

  validation {
    condition     = length(var.environments) > 0 && alltrue([for name in var.environments : can(regex("^[a-z][a-z0-9-]{0,19}$", name)) && fileexists("${path.module}/../envs/${name}/main.tf")])
    error_message = "environments = ${jsonencode(var.environments)}: write names of folders in infra/envs; for example [\"dev\", \"staging\"]."
  }

  # What is named SHOP-dev-* belongs to dev.
  validation {
    condition     = !anytrue([for pair in setproduct(var.environments, var.environments) : startswith(pair[0], "${pair[1]}-")])
    error_message = "environments = ${jsonencode(var.environments)}: one of these names begins with another one and a dash, so that the role of the other could change it; write dev2, not dev-2."
  }

  # The cap of its roles would have the name of the one for jobs.
  validation {
    condition     = !contains(var.environments, "ci")
    error_message = "environments = ${jsonencode(var.environments)}: no environment can be called ci; write tests, for example."
  }
}

variable "github_owner" {
  description = "User or organization on GitHub that owns the repository."
  type        = string
  default     = "acme"
}

variable "github_repository" {
  description = "Name of the repository on GitHub."
  type        = string
  default     = "acme-shop"
}

variable "github_owner_id" {
  description = "Number of the owner, when GitHub writes subjects with numbers; `make github-setup` tells."
  type        = string
  default     = null
}

variable "github_repository_id" {
  description = "Number of the repository, when GitHub writes subjects with numbers; `make github-setup` tells."
  type        = string
  default     = null
}

variable "has_github_provider" {
  description = "Whether the account has GitHub's OIDC provider already: it can have one only."
  type        = bool
  default     = false
}
variable "registry" {
  description = "Whether this account holds the images: one does for all environments."
  type        = bool
  default     = true
}

variable "pull_account_ids" {
  description = "Other AWS accounts whose clusters pull images from this one."
  type        = set(string)
  default     = []
}
variable "service_actions" {
  description = "What services may ever be allowed to do in AWS, beside what the platform needs; for example [\"s3:GetObject\"]."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for action in var.service_actions : can(regex("^[a-z0-9-]+:[A-Z][A-Za-z]*$", action)) && !contains(["iam", "organizations", "sts"], split(":", action)[0])])
    error_message = "service_actions: write each action in full, for example \"s3:GetObject\", and none of iam, organizations or sts."
  }
}

variable "guardduty" {
  description = "Whether to watch the account's EKS clusters with GuardDuty. For the whole account, so not where the organization does it already."
  type        = bool
  default     = false
}

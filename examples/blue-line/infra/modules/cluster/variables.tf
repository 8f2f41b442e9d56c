variable "name" {
  description = "Name of the cluster."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,99}$", var.name))
    error_message = "name = ${var.name}: write at most 100 of a-z, 0-9 and -, a letter first; for example shop-dev."
  }
}

variable "kubernetes_version" {
  description = "Minor version of Kubernetes."
  type        = string
}

# tflint-ignore: terraform_unused_declarations # its own rule uses it
variable "supported_versions" {
  description = "The versions that AWS supports at the normal price, with the day on which that ends."
  type        = map(string)

  validation {
    condition     = contains(keys(var.supported_versions), var.kubernetes_version)
    error_message = "kubernetes_version = ${var.kubernetes_version}: write one that AWS supports at the normal price: ${join(", ", [for version, end in var.supported_versions : "${version} (until ${end})"])}."
  }
}

variable "vpc_id" {
  description = "ID of the VPC."
  type        = string
}

variable "subnet_ids" {
  description = "IDs of the private subnets in which the control plane has its network interfaces."
  type        = list(string)
}

variable "service_cidr" {
  description = "Addresses of Kubernetes Services; the tenth is that of the cluster's DNS."
  type        = string
}

variable "endpoint_public_access" {
  description = "Whether the API also answers on the internet. If it does, only to public_access_cidrs."
  type        = bool
  default     = false
}

variable "public_access_cidrs" {
  description = "Networks on the internet from which the API may be reached, when endpoint_public_access is true."
  type        = list(string)
  default     = []

  # For EKS an empty list means everybody.
  validation {
    condition     = !var.endpoint_public_access || length(var.public_access_cidrs) > 0
    error_message = "public_access_cidrs is empty, which EKS takes for the whole internet: write the networks that may reach the API, for example [\"203.0.113.7/32\"], or endpoint_public_access = false."
  }

  validation {
    condition     = alltrue([for cidr in var.public_access_cidrs : can(cidrnetmask(cidr)) && try(tonumber(split("/", cidr)[1]) >= 16, false)])
    error_message = "public_access_cidrs = ${jsonencode(var.public_access_cidrs)} opens the API to the world, or holds something that is no network: write networks of /16 or smaller, for example [\"203.0.113.7/32\"]."
  }
}

variable "api_clients" {
  description = "Networks from which the private endpoint may be reached, by name: the VPC itself, a VPN, peers."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for cidr in values(var.api_clients) : can(cidrnetmask(cidr)) && try(tonumber(split("/", cidr)[1]) >= 8, false)])
    error_message = "api_clients = ${jsonencode(var.api_clients)}: write a network of /8 or smaller for each name, for example { vpn = \"10.8.0.0/24\" }."
  }
}

variable "access" {
  description = "Who may use the Kubernetes API: the IAM role, an EKS access policy (AmazonEKSViewPolicy, ...), and the namespaces to which that is limited; none means the whole cluster."
  type = map(object({
    principal_arn = string
    policy        = string
    namespaces    = optional(list(string), [])
  }))
  default = {}

  validation {
    condition     = alltrue([for entry in values(var.access) : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/.+", entry.principal_arn)) && !strcontains(entry.principal_arn, "*")])
    error_message = "access: each principal_arn must be that of one IAM role, for example arn:aws:iam::111122223333:role/operators; people come with a role, not as users."
  }

  validation {
    condition     = alltrue([for entry in values(var.access) : contains(["AmazonEKSClusterAdminPolicy", "AmazonEKSAdminPolicy", "AmazonEKSAdminViewPolicy", "AmazonEKSEditPolicy", "AmazonEKSViewPolicy"], entry.policy)])
    error_message = "access: each policy must be AmazonEKSViewPolicy, AmazonEKSAdminViewPolicy, AmazonEKSEditPolicy, AmazonEKSAdminPolicy or AmazonEKSClusterAdminPolicy."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete the cluster until this is false."
  type        = bool
  default     = true
}

variable "log_retention_days" {
  description = "Days for which the control plane's logs are kept."
  type        = number
  default     = 365
}

variable "permissions_boundary_arn" {
  description = "Policy that caps what these roles may do, whatever their own policies say."
  type        = string
}

variable "logs_key_arn" {
  description = "KMS key that encrypts the control plane's logs."
  type        = string
}

variable "secrets_key_arn" {
  description = "KMS key that encrypts Kubernetes Secrets in the control plane's storage."
  type        = string
}

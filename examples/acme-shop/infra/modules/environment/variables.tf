variable "environment" {
  description = "Name of the environment: that of its folders."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.environment))
    error_message = "environment = ${var.environment}: write the name of its folder in deploy/environments; for example dev."
  }
}

variable "cidr" {
  description = "Addresses of the environment's network, /16 to /20; no two environments share any."
  type        = string
}

variable "connected_networks" {
  description = "Networks that reach this environment, or will, by name: a VPN, peers. They may use the Kubernetes API, as far as `access` lets them."
  type        = map(string)
  default     = {}
}

variable "zone_count" {
  description = "Number of availability zones."
  type        = number
  default     = 3

  validation {
    condition     = contains([2, 3], var.zone_count)
    error_message = "zone_count = ${var.zone_count}: write 2 or 3. EKS refuses one zone, and production would stand still with it; for example zone_count = 3."
  }
}

variable "single_nat_gateway" {
  description = "One NAT gateway for all zones, instead of one in each."
  type        = bool
  default     = false

  validation {
    condition     = !var.single_nat_gateway || var.environment != "production"
    error_message = "single_nat_gateway = true: in production a failing zone would take the way out of all nodes with it; write false."
  }
}

variable "interface_endpoints" {
  description = "Private endpoints of AWS services, beside that of S3."
  type        = bool
  default     = false
}

variable "log_retention_days" {
  description = "Days for which flow logs and the control plane's logs are kept."
  type        = number
  default     = 365

  validation {
    condition     = contains([365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days = ${var.log_retention_days}: an investigation needs a year. Write a number that CloudWatch knows: 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

variable "endpoint_public_access" {
  description = "Whether the Kubernetes API also answers on the internet, to public_access_cidrs."
  type        = bool
  default     = false
}

variable "public_access_cidrs" {
  description = "Networks on the internet from which the Kubernetes API may be reached, when endpoint_public_access is true."
  type        = list(string)
  default     = []
}

variable "access" {
  description = "Who may use the Kubernetes API: IAM role, EKS access policy, and namespaces (none: all)."
  type = map(object({
    principal_arn = string
    policy        = string
    namespaces    = optional(list(string), [])
  }))
  default = {}
}
variable "node_groups" {
  description = "Groups of nodes; see the module `nodes`."
  type = map(object({
    instance_types = list(string)
    ami_type       = optional(string, "BOTTLEROCKET_x86_64")
    capacity_type  = optional(string, "ON_DEMAND")
    min_size       = number
    max_size       = number
    desired_size   = number
    disk_gib       = optional(number, 50)
    labels         = optional(map(string), {})
  }))

  validation {
    condition     = var.environment != "production" || anytrue([for group in values(var.node_groups) : group.capacity_type == "ON_DEMAND" && group.min_size >= 2])
    error_message = "node_groups: production needs a group of ON_DEMAND nodes with min_size = 2 or more, so that one node may fail."
  }
}
variable "service_permissions" {
  description = "What a service may do in AWS, by its name and by statement; none: nothing. The boundary of ../../bootstrap has to allow it too (service_actions)."
  type = map(map(object({
    actions   = list(string)
    resources = list(string)
  })))
  default = {}

  validation {
    condition     = alltrue([for service in keys(var.service_permissions) : contains(local.services, service)])
    error_message = "service_permissions: write names of folders in services/: ${join(", ", local.services)}."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete the cluster until this is false."
  type        = bool
  default     = true

  validation {
    condition     = var.deletion_protection || var.environment != "production"
    error_message = "deletion_protection = false: production keeps it; write true. To give production up, remove this rule in a pull request first."
  }
}
variable "registry_account_id" {
  description = "AWS account whose registry holds the images; null is this one."
  type        = string
  default     = null

  validation {
    condition     = var.registry_account_id == null || can(regex("^[0-9]{12}$", var.registry_account_id))
    error_message = "registry_account_id: write the 12 digits of an AWS account, or null for this one."
  }
}

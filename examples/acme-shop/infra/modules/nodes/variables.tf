variable "cluster_name" {
  description = "Name of the cluster; taken from the module `cluster`, so that its first add-ons come before nodes."
  type        = string
}

variable "name" {
  description = "Beginning of the names of roles and launch template."
  type        = string
}

variable "kubernetes_version" {
  description = "Minor version of Kubernetes of the nodes: that of the cluster."
  type        = string
}

variable "subnet_ids" {
  description = "IDs of the private subnets."
  type        = list(string)
}

variable "volumes_key_arn" {
  description = "KMS key that encrypts the nodes' disks."
  type        = string
}

variable "permissions_boundary_arn" {
  description = "Policy that caps what these roles may do, whatever their own policies say."
  type        = string
}

variable "groups" {
  description = "Groups of nodes: instance types (several for spot), how they are paid, how many, and the disk for images and containers."
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
    condition     = length(var.groups) > 0 && alltrue([for group in values(var.groups) : group.min_size >= 1 && group.min_size <= group.desired_size && group.desired_size <= group.max_size])
    error_message = "groups: write at least one, each with 1 <= min_size <= desired_size <= max_size; for example { general = { instance_types = [\"t3.large\"], min_size = 2, desired_size = 2, max_size = 4 } }."
  }

  validation {
    condition     = alltrue([for group in values(var.groups) : contains(["BOTTLEROCKET_x86_64", "BOTTLEROCKET_ARM_64"], group.ami_type)])
    error_message = "groups: ami_type must be BOTTLEROCKET_x86_64, or BOTTLEROCKET_ARM_64 for Graviton: nodes run an image that holds nothing but what containers need."
  }

  validation {
    condition     = alltrue([for group in values(var.groups) : contains(["ON_DEMAND", "SPOT"], group.capacity_type)])
    error_message = "groups: capacity_type must be ON_DEMAND or SPOT."
  }

  validation {
    condition     = alltrue([for group in values(var.groups) : group.capacity_type != "SPOT" || length(group.instance_types) >= 3])
    error_message = "groups: a group of SPOT needs three instance types or more, or one shortage takes all nodes away; for example [\"t3.large\", \"t3a.large\", \"m5.large\"]."
  }
}

variable "addon_versions" {
  description = "Version of each add-on that runs on nodes."
  type = object({
    coredns            = string
    aws-ebs-csi-driver = string
  })
}

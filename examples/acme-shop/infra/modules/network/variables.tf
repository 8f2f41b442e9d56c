variable "name" {
  description = "Name of the network, and beginning of the name of all in it."
  type        = string
}

variable "cidr" {
  description = "The network's addresses."
  type        = string

  validation {
    condition     = can(cidrnetmask(var.cidr)) && try(cidrhost(var.cidr, 0) == split("/", var.cidr)[0], false)
    error_message = "cidr = ${var.cidr}: write the first address of a network, a slash and its size; for example 10.0.0.0/16."
  }

  validation {
    condition     = try(tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 20, false)
    error_message = "cidr = ${var.cidr}: pods have addresses of it, so write /16 (65536 addresses) to /20 (4096); for example 10.0.0.0/16."
  }

  validation {
    condition     = can(regex("^(10\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|192\\.168\\.)", var.cidr))
    error_message = "cidr = ${var.cidr}: write private addresses, in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16; for example 10.0.0.0/16."
  }
}

# tflint-ignore: terraform_unused_declarations # its own rule uses it
variable "other_networks" {
  description = "Networks that are, or will be, connected to this one, or are in use in it: Kubernetes Services, VPN, peers."
  type        = map(string)
  default     = {}

  # Two networks overlap when they are one at the size of the larger.
  validation {
    condition = alltrue([
      for other in values(var.other_networks) : try(
        cidrhost("${split("/", other)[0]}/${min([for c in [other, var.cidr] : tonumber(split("/", c)[1])]...)}", 0)
        != cidrhost("${split("/", var.cidr)[0]}/${min([for c in [other, var.cidr] : tonumber(split("/", c)[1])]...)}", 0),
        false
      )
    ])
    error_message = "cidr = ${var.cidr} shares addresses with one of other_networks (${join(", ", [for name, other in var.other_networks : "${name} ${other}"])}), or one of these is no network: write a network that is apart; for example 10.4.0.0/16."
  }
}

variable "zones" {
  description = "Availability zones with subnets, two or three; the place in the list decides which addresses a zone has."
  type        = list(string)

  validation {
    condition     = length(distinct(var.zones)) == length(var.zones) && contains([2, 3], length(var.zones))
    error_message = "zones: write two or three different availability zones (EKS refuses one); for example three."
  }
}

variable "single_nat_gateway" {
  description = "One NAT gateway for all zones, instead of one in each: cheaper, but a failing zone takes the others' way out with it."
  type        = bool
  default     = false
}

variable "interface_endpoints" {
  description = "Private endpoints of the AWS services that nodes call, so that this traffic needs no NAT gateway."
  type        = bool
  default     = false
}

variable "log_retention_days" {
  description = "Days for which flow logs are kept."
  type        = number
  default     = 365
}

variable "permissions_boundary_arn" {
  description = "Policy that caps what these roles may do, whatever their own policies say."
  type        = string
}

variable "logs_key_arn" {
  description = "KMS key that encrypts the flow logs."
  type        = string
}

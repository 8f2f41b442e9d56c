variable "name" {
  description = "Name of the key; its alias is alias/NAME."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,99}$", var.name))
    error_message = "name = ${var.name}: write at most 100 of a-z, 0-9 and -, a letter first; for example shop-dev-logs."
  }
}

variable "description" {
  description = "What the key encrypts."
  type        = string
}

variable "statements" {
  description = "What the key's policy allows besides the account's own administration of it."
  type        = any
  default     = []
}

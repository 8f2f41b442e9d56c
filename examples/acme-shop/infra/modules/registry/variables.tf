variable "repositories" {
  description = "Names of the repositories: PROJECT/SERVICE."
  type        = set(string)

  validation {
    condition     = alltrue([for name in var.repositories : can(regex("^[a-z0-9]+(-[a-z0-9]+)*/[a-z0-9]+(-[a-z0-9]+)*$", name))])
    error_message = "repositories: write PROJECT/SERVICE, for example shop/orders."
  }
}

variable "key_arn" {
  description = "KMS key that encrypts the images."
  type        = string
}

variable "pull_account_ids" {
  description = "AWS accounts that may pull, beside this one: those of environments elsewhere."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.pull_account_ids : can(regex("^[0-9]{12}$", id))])
    error_message = "pull_account_ids = ${jsonencode(var.pull_account_ids)}: write the 12 digits of each AWS account, for example [\"111122223333\"]."
  }
}

variable "archive_after_days" {
  description = "Days after which an image that nobody pulls goes to the archive."
  type        = number
  default     = 180

  validation {
    condition     = var.archive_after_days >= 30
    error_message = "archive_after_days = ${var.archive_after_days}: write 30 or more, so that a rollback finds its image; for example 180."
  }
}

variable "delete_after_days" {
  description = "Days after which an image in the archive is deleted; AWS takes 90 or more."
  type        = number
  default     = 365

  validation {
    condition     = var.delete_after_days >= 90
    error_message = "delete_after_days = ${var.delete_after_days}: AWS bills the archive for 90 days at least; write 90 or more, for example 365."
  }
}

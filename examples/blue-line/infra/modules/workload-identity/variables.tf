variable "name" {
  description = "Name of the environment's cluster, and beginning of the names of roles."
  type        = string
}

variable "cluster_name" {
  description = "Name of the cluster; taken from the module `cluster`, so that it is there first."
  type        = string
}

variable "permissions_boundary_arn" {
  description = "Policy that caps what these roles may do, whatever their own policies say."
  type        = string
}

variable "identities" {
  description = "Who has a role, by the end of its name: the service account, and what it may do, by statement. No permissions: it is somebody, and may do nothing."
  type = map(object({
    namespace       = string
    service_account = string
    permissions = optional(map(object({
      actions   = list(string)
      resources = list(string)
    })), {})
  }))

  validation {
    condition     = alltrue([for name in keys(var.identities) : length("${var.name}-${name}") <= 64])
    error_message = "identities: AWS takes names of roles of at most 64 characters; write a shorter one for ${join(", ", [for name in keys(var.identities) : "${var.name}-${name}" if length("${var.name}-${name}") > 64])}."
  }

  validation {
    condition     = alltrue([for identity in values(var.identities) : can(regex("^[a-z0-9-]+$", identity.namespace)) && can(regex("^[a-z0-9.-]+$", identity.service_account))])
    error_message = "identities: write the one namespace and the one service account that has the role; for example namespace = \"apps\", service_account = \"orders\"."
  }

  validation {
    condition = alltrue(flatten([for identity in values(var.identities) : [
      for permission in values(identity.permissions) : [for action in permission.actions : can(regex("^[a-z0-9-]+:[A-Z][A-Za-z]*$", action))]
    ]]))
    error_message = "identities: write each action in full, for example \"s3:GetObject\", not \"s3:*\"."
  }

  validation {
    condition = alltrue(flatten([for identity in values(var.identities) : [
      for permission in values(identity.permissions) : [
        for resource in permission.resources : startswith(resource, "arn:") || (resource == "*" && toset(permission.actions) == toset(["ecr:GetAuthorizationToken"]))
      ]
    ]]))
    error_message = "identities: write the ARNs of what an action is for, for example \"arn:aws:s3:::shop-uploads/*\", not \"*\"."
  }
}

# Looks for attacks on the clusters, in their audit logs and on their nodes. An account has one detector, so this
# is for those whose organization has not made it (AWS says so when it has).

resource "aws_guardduty_detector" "this" {
  #checkov:skip=CKV2_AWS_3:for this account and region, as a person asked for; an organization turns it on for all
  count = var.guardduty ? 1 : 0

  enable = true
}

resource "aws_guardduty_detector_feature" "this" {
  for_each = var.guardduty ? toset(["EKS_AUDIT_LOGS", "RUNTIME_MONITORING"]) : []

  detector_id = aws_guardduty_detector.this[0].id
  name        = each.key
  status      = "ENABLED"

  dynamic "additional_configuration" {
    for_each = each.key == "RUNTIME_MONITORING" ? ["EKS_ADDON_MANAGEMENT"] : []

    content {
      name   = additional_configuration.value
      status = "ENABLED"
    }
  }
}

data "aws_partition" "this" {}

resource "aws_ecr_repository" "this" {
  for_each = var.repositories

  name                 = each.key
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.key_arn
  }
}

# What runs anywhere is pulled every day (.github/workflows/rescan.yml), so it stays. An image in the archive
# cannot be pulled until it is restored. Rules name the tags of releases (.github/scripts/publish.js) and no others:
# cosign keeps signatures and SBOMs under tags of their own, sha256-DIGEST.sig and .att, which nobody may read for
# months while their image runs. They stay when it goes: some kilobytes for a signature, some hundred for an SBOM.
resource "aws_ecr_lifecycle_policy" "this" {
  for_each = aws_ecr_repository.this

  repository = each.value.name

  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "Archive what nobody has pulled for ${var.archive_after_days} days"
        selection = {
          tagStatus      = "tagged"
          tagPatternList = ["release-*"]
          countType      = "sinceImagePulled"
          countUnit      = "days"
          countNumber    = var.archive_after_days
        }
        action = { type = "transition", targetStorageClass = "archive" }
      },
      {
        rulePriority = 2
        description  = "Delete what has been in the archive for ${var.delete_after_days} days"
        selection = {
          tagStatus      = "tagged"
          tagPatternList = ["release-*"]
          storageClass   = "archive"
          countType      = "sinceImageTransitioned"
          countUnit      = "days"
          countNumber    = var.delete_after_days
        }
        action = { type = "expire" }
      },
    ]
  })
}

# Clusters in other accounts run the same images, so these may pull them; and nothing else.
resource "aws_ecr_repository_policy" "this" {
  for_each = length(var.pull_account_ids) > 0 ? aws_ecr_repository.this : {}

  repository = each.value.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "PullFromOtherAccounts"
      Effect    = "Allow"
      Principal = { AWS = [for id in sort(var.pull_account_ids) : "arn:${data.aws_partition.this.partition}:iam::${id}:root"] }
      Action    = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    }]
  })
}

# Caps: one for the roles of each environment, one for the roles of jobs. None gives anything: a role may do what its
# policies and its boundary both allow.

locals {
  boundary = {
    for name in var.environments : name => [
      {
        # What AWS's own policies for clusters, nodes, network and volumes hold; each of them says it narrowly.
        Sid    = "NodesAndLoadBalancers"
        Effect = "Allow"
        Action = [
          "acm:DescribeCertificate",
          "acm:ListCertificates",
          "autoscaling:DescribeAutoScalingGroups",
          "autoscaling:UpdateAutoScalingGroup",
          "ec2:*",
          "eks-auth:AssumeRoleForPodIdentity",
          "eks:DescribeCluster",
          "elasticloadbalancing:*",
          "kms:DescribeKey",
        ]
        Resource  = "*"
        Condition = { StringEquals = { "aws:RequestedRegion" = local.region } }
      },
      {
        Sid       = "RolesOfAws"
        Effect    = "Allow"
        Action    = ["iam:CreateServiceLinkedRole"]
        Resource  = "${local.iam_arn}:role/aws-service-role/*"
        Condition = { StringEquals = { "iam:AWSServiceName" = local.linked_services } }
      },
      {
        # AWS's own keys let every role of the account use them, but not past a boundary.
        Sid    = "KeysOfDisksAndSecrets"
        Effect = "Allow"
        Action = [
          "kms:CreateGrant",
          "kms:Decrypt",
          "kms:Encrypt",
          "kms:GenerateDataKey*",
          "kms:ReEncrypt*",
        ]
        Resource = "*"
        Condition = {
          StringEquals = {
            "kms:ViaService" = ["ec2.${local.region}.amazonaws.com", "secretsmanager.${local.region}.amazonaws.com"]
          }
        }
      },
      {
        Sid    = "PullImages"
        Effect = "Allow"
        Action = [
          "ecr:BatchCheckLayerAvailability",
          "ecr:BatchGetImage",
          "ecr:GetAuthorizationToken",
          "ecr:GetDownloadUrlForLayer",
        ]
        Resource = "*"
      },
      {
        Sid      = "WriteFlowLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
        Resource = "${local.logs_arn}:log-group:/aws/vpc/${local.project}-${name}/*"
      },
      {
        Sid      = "ReadSecrets"
        Effect   = "Allow"
        Action   = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
        Resource = "arn:${local.partition}:secretsmanager:${local.region}:${local.account_id}:secret:${local.project}/${name}/*"
      },
      {
        # Another environment may be in this account. What has no such tag, this cannot tell.
        Sid      = "NotOtherEnvironments"
        Effect   = "Deny"
        Action   = ["ec2:*", "elasticloadbalancing:*", "kms:*"]
        Resource = "*"
        Condition = {
          StringEquals    = { "aws:ResourceTag/project" = local.project }
          StringNotEquals = { "aws:ResourceTag/environment" = name }
          Null            = { "aws:ResourceTag/environment" = "false" }
        }
      },
      {
        # As EKS tags what Auto Mode makes: nodes, volumes, load balancers.
        Sid      = "NotOtherClusters"
        Effect   = "Deny"
        Action   = ["ec2:*", "elasticloadbalancing:*"]
        Resource = "*"
        Condition = {
          StringNotEquals = { "aws:ResourceTag/eks:eks-cluster-name" = "${local.project}-${name}" }
          Null            = { "aws:ResourceTag/eks:eks-cluster-name" = "false" }
        }
      },
      {
        # And nodes of its other groups.
        Sid      = "NotNodesOfOtherClusters"
        Effect   = "Deny"
        Action   = ["ec2:*"]
        Resource = "*"
        Condition = {
          StringNotEquals = { "aws:ResourceTag/eks:cluster-name" = "${local.project}-${name}" }
          Null            = { "aws:ResourceTag/eks:cluster-name" = "false" }
        }
      },
    ]
  }

  boundary_of_services = [
    {
      Sid      = "Services"
      Effect   = "Allow"
      Action   = sort(var.service_actions)
      Resource = "*"
    },
  ]

  ci_boundary = [
    {
      Sid    = "OnlyWhatTerraformAndReleasesUse"
      Effect = "Allow"
      Action = [
        "ec2:*",
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:CompleteLayerUpload",
        "ecr:GetAuthorizationToken",
        "ecr:GetDownloadUrlForLayer",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:UploadLayerPart",
        "eks:*",
        "iam:*Role*",
        "iam:ListInstanceProfilesForRole",
        "kms:*",
        "logs:*",
        "route53:AssociateVPCWithHostedZone",
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
      ]
      Resource = "*"
    },
    {
      # Whatever happens in GitHub, what GitHub may do is changed by a person with `make bootstrap-aws`.
      Sid       = "NotItself"
      Effect    = "Deny"
      NotAction = ["iam:Get*", "iam:List*"]
      Resource = [
        local.github_provider_arn,
        "${local.iam_arn}:policy/${local.project}-*",
        "${local.iam_arn}:role/${local.project}-*-apply",
        "${local.iam_arn}:role/${local.project}-*-plan",
        "${local.iam_arn}:role/${local.project}-publish",
        "${local.iam_arn}:role/${local.project}-pull",
      ]
    },
    {
      Sid      = "NoRoleWithoutBoundary"
      Effect   = "Deny"
      Action   = ["iam:AttachRolePolicy", "iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"]
      Resource = "*"
      Condition = {
        # Which of them, the role's own policy says.
        StringNotEquals = { "iam:PermissionsBoundary" = values(local.boundary_arns) }
      }
    },
    {
      Sid      = "NoBoundaryTakenAway"
      Effect   = "Deny"
      Action   = ["iam:DeleteRolePermissionsBoundary"]
      Resource = "*"
    },
  ]
}

resource "aws_iam_policy" "boundary" {
  #checkov:skip=CKV_AWS_355:a boundary gives nothing; it caps what policies give
  for_each = var.environments

  name        = "${local.project}-${each.key}-boundary"
  description = "The most that any role of ${local.project}-${each.key} may do"

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat(local.boundary[each.key], length(var.service_actions) > 0 ? local.boundary_of_services : [])
  })
}

resource "aws_iam_policy" "ci_boundary" {
  #checkov:skip=CKV_AWS_286:a boundary gives nothing; it caps what policies give
  #checkov:skip=CKV_AWS_287:a boundary gives nothing; it caps what policies give
  #checkov:skip=CKV_AWS_288:a boundary gives nothing; it caps what policies give
  #checkov:skip=CKV_AWS_289:a boundary gives nothing; it caps what policies give
  #checkov:skip=CKV_AWS_290:a boundary gives nothing; it caps what policies give
  #checkov:skip=CKV_AWS_355:a boundary gives nothing; it caps what policies give
  name        = "${local.project}-ci-boundary"
  description = "The most that any role of ${local.project}'s jobs in GitHub may do"
  policy      = jsonencode({ Version = "2012-10-17", Statement = local.ci_boundary })
}

# What each role of GitHub's jobs may do. tests/permissions/reasons.yaml repeats every line with its reason, and
# `make lint-infra` compares them: whoever widens this has to say there why.

locals {
  repository_arns = [for service in sort(local.services) : "arn:${local.partition}:ecr:${local.region}:${local.account_id}:repository/${local.project}/${service}"]

  login = {
    Sid      = "Login"
    Effect   = "Allow"
    Action   = ["ecr:GetAuthorizationToken"]
    Resource = "*"
  }

  pull_actions = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]

  pull = [local.login, {
    Sid      = "Pull"
    Effect   = "Allow"
    Action   = local.pull_actions
    Resource = local.repository_arns
  }]

  publish = [local.login, {
    Sid      = "Push"
    Effect   = "Allow"
    Action   = concat(local.pull_actions, ["ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart"])
    Resource = local.repository_arns
  }]

  # ---------------------------------------------------------------------------- state

  read_state = {
    for name in var.environments : name => [
      {
        Sid      = "FindState"
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = local.state_bucket_arn
        # Terraform looks for workspaces too, below env:/; there are none.
        Condition = { StringLike = { "s3:prefix" = ["${name}/*", "env:/"] } }
      },
      {
        Sid      = "ReadState"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = "${local.state_bucket_arn}/${name}/*"
      },
      {
        Sid       = "DecryptState"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = local.backend.kms_key_id
        Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.amazonaws.com" } }
      },
    ]
  }

  write_state = {
    for name in var.environments : name => [
      {
        Sid      = "WriteState"
        Effect   = "Allow"
        Action   = ["s3:PutObject"]
        Resource = "${local.state_bucket_arn}/${name}/*"
      },
      {
        Sid      = "Unlock"
        Effect   = "Allow"
        Action   = ["s3:DeleteObject"]
        Resource = "${local.state_bucket_arn}/${name}/terraform.tfstate.tflock"
      },
      {
        Sid       = "EncryptState"
        Effect    = "Allow"
        Action    = ["kms:GenerateDataKey"]
        Resource  = local.backend.kms_key_id
        Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.amazonaws.com" } }
      },
    ]
  }

  # ---------------------------------------------------------------------------- what the modules manage

  # The provider's default_tags put these on all that an environment has.
  is_tagged     = { for name in var.environments : name => { "aws:ResourceTag/project" = local.project, "aws:ResourceTag/environment" = name } }
  is_tagging    = { for name in var.environments : name => { "aws:RequestTag/project" = local.project, "aws:RequestTag/environment" = name } }
  eks_resources = ["access-entry", "addon", "nodegroup", "podidentityassociation"]

  eks_arns = {
    for name in var.environments : name => concat(
      ["${local.eks_arn}:cluster/${local.project}-${name}"],
      [for kind in local.eks_resources : "${local.eks_arn}:${kind}/${local.project}-${name}/*"],
    )
  }

  log_groups = {
    for name in var.environments : name => [for kind in ["eks", "vpc"] : "${local.logs_arn}:log-group:/aws/${kind}/${local.project}-${name}/*"]
  }

  read = {
    for name in var.environments : name => [
      {
        # EC2 and these lists know no resources.
        Sid    = "Look"
        Effect = "Allow"
        Action = [
          "ec2:DescribeAddresses",
          "ec2:DescribeAddressesAttribute",
          "ec2:DescribeAvailabilityZones",
          "ec2:DescribeFlowLogs",
          "ec2:DescribeInternetGateways",
          "ec2:DescribeLaunchTemplateVersions",
          "ec2:DescribeLaunchTemplates",
          "ec2:DescribeNatGateways",
          "ec2:DescribeNetworkAcls",
          "ec2:DescribeNetworkInterfaces",
          "ec2:DescribePrefixLists",
          "ec2:DescribeRouteTables",
          "ec2:DescribeSecurityGroupRules",
          "ec2:DescribeSecurityGroups",
          "ec2:DescribeSubnets",
          "ec2:DescribeTags",
          "ec2:DescribeVpcEndpoints",
          "ec2:DescribeVpcs",
          "kms:ListAliases",
          "logs:DescribeLogGroups",
        ]
        Resource = "*"
      },
      {
        Sid      = "ReadNetwork"
        Effect   = "Allow"
        Action   = ["ec2:DescribeVpcAttribute"]
        Resource = "${local.ec2_arn}:vpc/*"
      },
      {
        Sid    = "ReadCluster"
        Effect = "Allow"
        Action = [
          "eks:DescribeAccessEntry",
          "eks:DescribeAddon",
          "eks:DescribeCluster",
          "eks:DescribeNodegroup",
          "eks:DescribePodIdentityAssociation",
          "eks:DescribeUpdate",
          "eks:ListAssociatedAccessPolicies",
          "eks:ListPodIdentityAssociations",
          "eks:ListTagsForResource",
        ]
        Resource = local.eks_arns[name]
      },
      {
        Sid    = "ReadRoles"
        Effect = "Allow"
        Action = [
          "iam:GetRole",
          "iam:GetRolePolicy",
          "iam:ListAttachedRolePolicies",
          "iam:ListInstanceProfilesForRole",
          "iam:ListRolePolicies",
        ]
        Resource = "${local.iam_arn}:role/${local.project}-${name}-*"
      },
      {
        Sid       = "ReadKeys"
        Effect    = "Allow"
        Action    = ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"]
        Resource  = "${local.kms_arn}:key/*"
        Condition = { StringEquals = local.is_tagged[name] }
      },
      {
        Sid      = "ReadLogGroups"
        Effect   = "Allow"
        Action   = ["logs:ListTagsForResource"]
        Resource = local.log_groups[name]
      },
    ]
  }

  write = {
    for name in var.environments : name => {
      network = [
        {
          # What does not exist yet has no tags but those that it is made with.
          Sid    = "MakeInEc2"
          Effect = "Allow"
          Action = local.ec2_make
          Resource = [
            for kind in [
              "elastic-ip", "internet-gateway", "launch-template", "natgateway", "route-table", "security-group",
              "subnet", "vpc", "vpc-endpoint", "vpc-flow-log",
            ] : "${local.ec2_arn}:${kind}/*"
          ]
          Condition = { StringEquals = local.is_tagging[name] }
        },
        {
          # The rule alone: the group that it goes into has to be ours, below.
          Sid       = "MakeRules"
          Effect    = "Allow"
          Action    = local.ec2_make_rules
          Resource  = "${local.ec2_arn}:security-group-rule/*"
          Condition = { StringEquals = local.is_tagging[name] }
        },
        {
          Sid      = "TagWhatIsMade"
          Effect   = "Allow"
          Action   = ["ec2:CreateTags"]
          Resource = "${local.ec2_arn}:*/*"
          Condition = {
            StringEquals = merge(local.is_tagging[name], { "ec2:CreateAction" = local.ec2_tags_with })
          }
        },
        {
          # All that is to be changed, or made in something, is ours already.
          Sid    = "ChangeInEc2"
          Effect = "Allow"
          Action = concat(local.ec2_make, local.ec2_make_rules, [
            "ec2:AssociateRouteTable",
            "ec2:AttachInternetGateway",
            "ec2:CreateLaunchTemplateVersion",
            "ec2:CreateRoute",
            "ec2:CreateTags",
            "ec2:DeleteFlowLogs",
            "ec2:DeleteInternetGateway",
            "ec2:DeleteLaunchTemplate",
            "ec2:DeleteLaunchTemplateVersions",
            "ec2:DeleteNatGateway",
            "ec2:DeleteRoute",
            "ec2:DeleteRouteTable",
            "ec2:DeleteSecurityGroup",
            "ec2:DeleteSubnet",
            "ec2:DeleteTags",
            "ec2:DeleteVpc",
            "ec2:DeleteVpcEndpoints",
            "ec2:DetachInternetGateway",
            "ec2:DisassociateAddress",
            "ec2:DisassociateRouteTable",
            "ec2:ModifyLaunchTemplate",
            "ec2:ModifySecurityGroupRules",
            "ec2:ModifySubnetAttribute",
            "ec2:ModifyVpcAttribute",
            "ec2:ModifyVpcEndpoint",
            "ec2:ReleaseAddress",
            "ec2:ReplaceRoute",
            "ec2:ReplaceRouteTableAssociation",
            "ec2:RevokeSecurityGroupEgress",
            "ec2:RevokeSecurityGroupIngress",
            "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
            "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
          ])
          Resource  = "${local.ec2_arn}:*/*"
          Condition = { StringEquals = local.is_tagged[name] }
        },
        {
          # The group that comes with a network has no tags, as a stranger's may have none. So it gets an environment
          # of its own (../modules/network), in which nothing else is allowed: neither can be opened.
          Sid      = "CloseDefaultGroup"
          Effect   = "Allow"
          Action   = ["ec2:CreateTags", "ec2:RevokeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress"]
          Resource = "${local.ec2_arn}:security-group/*"
          Condition = {
            StringEqualsIfExists = merge([
              for of in ["Request", "Resource"] : {
                "aws:${of}Tag/project"     = local.project
                "aws:${of}Tag/environment" = "${local.project}-${name}-default-closed"
              }
            ]...)
          }
        },
        {
          # EKS tries whether who makes a group of nodes could start them.
          Sid       = "StartNodes"
          Effect    = "Allow"
          Action    = ["ec2:RunInstances"]
          Resource  = "*"
          Condition = { ArnLike = { "ec2:LaunchTemplate" = "${local.ec2_arn}:launch-template/*" } }
        },
        {
          Sid       = "TagNodes"
          Effect    = "Allow"
          Action    = ["ec2:CreateTags"]
          Resource  = [for kind in ["instance", "volume", "network-interface"] : "${local.ec2_arn}:${kind}/*"]
          Condition = { StringEquals = { "ec2:CreateAction" = "RunInstances" } }
        },
        {
          Sid      = "NameEndpoints"
          Effect   = "Allow"
          Action   = ["route53:AssociateVPCWithHostedZone"]
          Resource = "arn:${local.partition}:route53:::hostedzone/*"
        },
      ]

      cluster = [
        {
          Sid    = "ChangeCluster"
          Effect = "Allow"
          Action = [
            "eks:AssociateAccessPolicy",
            "eks:CreateAccessEntry",
            "eks:CreateAddon",
            "eks:CreateCluster",
            "eks:CreateNodegroup",
            "eks:CreatePodIdentityAssociation",
            "eks:DeleteAccessEntry",
            "eks:DeleteAddon",
            "eks:DeleteCluster",
            "eks:DeleteNodegroup",
            "eks:DeletePodIdentityAssociation",
            "eks:DisassociateAccessPolicy",
            "eks:TagResource",
            "eks:UntagResource",
            "eks:UpdateAccessEntry",
            "eks:UpdateAddon",
            "eks:UpdateClusterConfig",
            "eks:UpdateClusterVersion",
            "eks:UpdateNodegroupConfig",
            "eks:UpdateNodegroupVersion",
            "eks:UpdatePodIdentityAssociation",
          ]
          Resource = local.eks_arns[name]
        },
        {
          # No role without the boundary, and none gets rid of it.
          Sid    = "MakeRoles"
          Effect = "Allow"
          Action = [
            "iam:CreateRole",
            "iam:DeleteRolePolicy",
            "iam:PutRolePermissionsBoundary",
            "iam:PutRolePolicy",
          ]
          Resource  = "${local.iam_arn}:role/${local.project}-${name}-*"
          Condition = { StringEquals = { "iam:PermissionsBoundary" = local.boundary_arns[name] } }
        },
        {
          Sid      = "GivePoliciesOfAws"
          Effect   = "Allow"
          Action   = ["iam:AttachRolePolicy", "iam:DetachRolePolicy"]
          Resource = "${local.iam_arn}:role/${local.project}-${name}-*"
          Condition = {
            StringEquals = { "iam:PermissionsBoundary" = local.boundary_arns[name] }
            ArnEquals    = { "iam:PolicyARN" = [for policy in local.aws_policies : "arn:${local.partition}:iam::aws:policy/${policy}"] }
          }
        },
        {
          Sid    = "ChangeRoles"
          Effect = "Allow"
          Action = [
            "iam:DeleteRole",
            "iam:TagRole",
            "iam:UntagRole",
            "iam:UpdateAssumeRolePolicy",
            "iam:UpdateRole",
            "iam:UpdateRoleDescription",
          ]
          Resource = "${local.iam_arn}:role/${local.project}-${name}-*"
        },
        {
          Sid      = "PassRoles"
          Effect   = "Allow"
          Action   = ["iam:PassRole"]
          Resource = "${local.iam_arn}:role/${local.project}-${name}-*"
          Condition = {
            StringEquals = {
              "iam:PassedToService" = ["ec2.amazonaws.com", "eks.amazonaws.com", "pods.eks.amazonaws.com", "vpc-flow-logs.amazonaws.com"]
            }
          }
        },
        {
          Sid      = "FindRolesOfAws"
          Effect   = "Allow"
          Action   = ["iam:GetRole"]
          Resource = "${local.iam_arn}:role/aws-service-role/*"
        },
        {
          Sid       = "MakeRolesOfAws"
          Effect    = "Allow"
          Action    = ["iam:CreateServiceLinkedRole"]
          Resource  = "${local.iam_arn}:role/aws-service-role/*"
          Condition = { StringEquals = { "iam:AWSServiceName" = local.linked_services } }
        },
      ]

      keys-and-logs = [
        {
          # A key is tagged as it is made; whoever could tag another's key could make it its own.
          Sid      = "MakeKeys"
          Effect   = "Allow"
          Action   = ["kms:CreateKey", "kms:TagResource"]
          Resource = "*"
          Condition = {
            StringEquals = local.is_tagging[name]
            Null         = { "aws:ResourceTag/project" = "true" }
          }
        },
        {
          Sid    = "ChangeKeys"
          Effect = "Allow"
          Action = [
            "kms:CreateAlias",
            "kms:CreateGrant",
            "kms:DeleteAlias",
            "kms:DisableKeyRotation",
            "kms:EnableKeyRotation",
            "kms:PutKeyPolicy",
            "kms:ScheduleKeyDeletion",
            "kms:TagResource",
            "kms:UntagResource",
            "kms:UpdateKeyDescription",
          ]
          Resource  = "${local.kms_arn}:key/*"
          Condition = { StringEquals = local.is_tagged[name] }
        },
        {
          Sid      = "NameKeys"
          Effect   = "Allow"
          Action   = ["kms:CreateAlias", "kms:DeleteAlias"]
          Resource = "${local.kms_arn}:alias/${local.project}-${name}-*"
        },
        {
          Sid    = "ChangeLogGroups"
          Effect = "Allow"
          Action = [
            "logs:AssociateKmsKey",
            "logs:CreateLogGroup",
            "logs:DeleteLogGroup",
            "logs:PutRetentionPolicy",
            "logs:TagResource",
            "logs:UntagResource",
          ]
          Resource = local.log_groups[name]
        },
      ]
    }
  }

  ec2_make = [
    "ec2:AllocateAddress",
    "ec2:CreateFlowLogs",
    "ec2:CreateInternetGateway",
    "ec2:CreateLaunchTemplate",
    "ec2:CreateNatGateway",
    "ec2:CreateRouteTable",
    "ec2:CreateSecurityGroup",
    "ec2:CreateSubnet",
    "ec2:CreateVpc",
    "ec2:CreateVpcEndpoint",
  ]
  ec2_make_rules = ["ec2:AuthorizeSecurityGroupEgress", "ec2:AuthorizeSecurityGroupIngress"]
  ec2_tags_with  = [for action in sort(concat(local.ec2_make, local.ec2_make_rules)) : trimprefix(action, "ec2:")]

  # Exactly those that the modules give to roles; `make lint-infra` compares them.
  aws_policies = [
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEKSClusterPolicy",
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
    "service-role/AmazonEBSCSIDriverPolicy",
  ]

  linked_services = [
    "autoscaling.amazonaws.com",
    "eks-nodegroup.amazonaws.com",
    "eks.amazonaws.com",
    "elasticloadbalancing.amazonaws.com",
    "spot.amazonaws.com",
  ]
}

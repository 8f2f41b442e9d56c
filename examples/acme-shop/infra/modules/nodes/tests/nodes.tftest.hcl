mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  permissions_boundary_arn = "arn:aws:iam::111122223333:policy/shop-dev-boundary"
  cluster_name             = "shop-dev"
  name                     = "shop-dev"
  kubernetes_version       = "1.36"
  subnet_ids               = ["subnet-11111111", "subnet-22222222"]
  volumes_key_arn          = "arn:aws:kms:eu-west-1:111122223333:key/11111111-2222-3333-4444-555555555555"
  groups = {
    general = { instance_types = ["t3.large"], min_size = 2, desired_size = 2, max_size = 4 }
  }
  addon_versions = {
    aws-ebs-csi-driver = "v1.66.0-eksbuild.1"
    coredns            = "v1.14.3-eksbuild.23"
  }
}

run "instance_metadata" {
  command = plan

  assert {
    condition     = aws_launch_template.nodes["general"].metadata_options[0].http_tokens == "required"
    error_message = "instance metadata must need a token: http_tokens = required (IMDSv2)"
  }

  assert {
    condition     = aws_launch_template.nodes["general"].metadata_options[0].http_put_response_hop_limit == 1
    error_message = "pods must not reach the node's credentials: http_put_response_hop_limit = 1"
  }
}

run "disks" {
  command = plan

  assert {
    condition     = alltrue([for disk in aws_launch_template.nodes["general"].block_device_mappings : disk.ebs[0].encrypted == "true" && disk.ebs[0].kms_key_id == var.volumes_key_arn])
    error_message = "every disk must be encrypted with the key"
  }

  assert {
    condition     = [for disk in aws_launch_template.nodes["general"].block_device_mappings : disk.device_name] == ["/dev/xvda", "/dev/xvdb"]
    error_message = "Bottlerocket has two disks, and both must be named or one has EBS' own settings"
  }
}

run "private_nodes" {
  command = plan

  assert {
    condition     = aws_eks_node_group.this["general"].subnet_ids == toset(var.subnet_ids) && length(aws_eks_node_group.this["general"].remote_access) == 0
    error_message = "nodes must be in the given subnets, without SSH"
  }

  assert {
    condition     = length(aws_launch_template.nodes["general"].network_interfaces) == 0 && aws_launch_template.nodes["general"].key_name == null
    error_message = "the launch template must give nodes no public address and no SSH key"
  }
}

run "operating_system" {
  command = plan

  assert {
    condition     = startswith(aws_eks_node_group.this["general"].ami_type, "BOTTLEROCKET_") && aws_eks_node_group.this["general"].version == "1.36"
    error_message = "nodes must run Bottlerocket, at the cluster's version"
  }

  assert {
    condition     = aws_eks_node_group.this["general"].update_config[0].max_unavailable_percentage == 33 && aws_eks_node_group.this["general"].node_repair_config[0].enabled
    error_message = "nodes must be replaced a third at a time, and repaired"
  }
}

run "role" {
  command = plan

  assert {
    condition     = [for attachment in aws_iam_role_policy_attachment.nodes : attachment.policy_arn] == ["arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly", "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"]
    error_message = "nodes may join the cluster and pull images, and nothing else"
  }

  assert {
    condition     = jsondecode(aws_iam_role.nodes.assume_role_policy).Statement == [{ Effect = "Allow", Principal = { Service = "ec2.amazonaws.com" }, Action = ["sts:AssumeRole"] }]
    error_message = "only EC2 may have the nodes' role"
  }
}

run "addons" {
  command = plan

  assert {
    condition     = [aws_eks_addon.coredns.addon_version, aws_eks_addon.ebs_csi.addon_version] == [var.addon_versions["coredns"], var.addon_versions["aws-ebs-csi-driver"]]
    error_message = "every add-on must have the pinned version"
  }

  assert {
    condition     = aws_eks_addon.ebs_csi.service_account_role_arn == null && [for association in aws_eks_addon.ebs_csi.pod_identity_association : association.service_account] == ["ebs-csi-controller-sa"]
    error_message = "the EBS CSI driver must have its rights from Pod Identity, not from the node"
  }

  assert {
    condition     = aws_iam_role_policy_attachment.ebs_csi.policy_arn == "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy" && jsondecode(aws_iam_role.ebs_csi.assume_role_policy).Statement[0].Principal == { Service = "pods.eks.amazonaws.com" } && jsondecode(aws_iam_role.ebs_csi.assume_role_policy).Statement[0].Condition.StringEquals == { "aws:RequestTag/eks-cluster-name" = "shop-dev", "aws:RequestTag/kubernetes-namespace" = "kube-system", "aws:RequestTag/kubernetes-service-account" = "ebs-csi-controller-sa" }
    error_message = "the EBS CSI driver's role must be for Pod Identity, with the one policy that it needs"
  }
}

run "refuses_another_operating_system" {
  command = plan

  variables {
    groups = { general = { instance_types = ["t3.large"], ami_type = "AL2023_x86_64_STANDARD", min_size = 2, desired_size = 2, max_size = 4 } }
  }

  expect_failures = [var.groups]
}

run "refuses_fewer_nodes_than_the_least" {
  command = plan

  variables {
    groups = { general = { instance_types = ["t3.large"], min_size = 3, desired_size = 2, max_size = 4 } }
  }

  expect_failures = [var.groups]
}

run "refuses_spot_of_one_type" {
  command = plan

  variables {
    groups = { general = { instance_types = ["t3.large"], capacity_type = "SPOT", min_size = 2, desired_size = 2, max_size = 4 } }
  }

  expect_failures = [var.groups]
}

run "refuses_an_unknown_way_to_pay" {
  command = plan

  variables {
    groups = { general = { instance_types = ["t3.large"], capacity_type = "CHEAP", min_size = 2, desired_size = 2, max_size = 4 } }
  }

  expect_failures = [var.groups]
}

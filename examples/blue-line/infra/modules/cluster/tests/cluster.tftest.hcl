mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  permissions_boundary_arn = "arn:aws:iam::111122223333:policy/shop-dev-boundary"
  name                     = "shop-dev"
  kubernetes_version       = "1.36"
  supported_versions       = { "1.35" = "2027-03-27", "1.36" = "2027-08-02" }
  vpc_id                   = "vpc-11111111"
  subnet_ids               = ["subnet-11111111", "subnet-22222222"]
  service_cidr             = "172.20.0.0/16"
  api_clients              = { vpc = "10.0.0.0/16" }
  logs_key_arn             = "arn:aws:kms:eu-west-1:111122223333:key/11111111-2222-3333-4444-555555555555"
  secrets_key_arn          = "arn:aws:kms:eu-west-1:111122223333:key/66666666-7777-8888-9999-000000000000"
}

run "private_endpoint" {
  command = plan

  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_private_access && !aws_eks_cluster.this.vpc_config[0].endpoint_public_access
    error_message = "the Kubernetes API must answer in the VPC and not on the internet"
  }

  assert {
    condition     = { for name, rule in aws_vpc_security_group_ingress_rule.api : name => [rule.cidr_ipv4, rule.ip_protocol, rule.from_port, rule.to_port] } == { vpc = ["10.0.0.0/16", "tcp", 443, 443] }
    error_message = "the private endpoint must answer the named networks on port 443, and nothing else"
  }

  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.api : length(rule.description) > 0]) && length(aws_security_group.api.description) > 0
    error_message = "every security group and rule must say what it is for"
  }
}

run "public_endpoint_for_named_networks" {
  command = plan

  variables {
    endpoint_public_access = true
    public_access_cidrs    = ["203.0.113.7/32"]
  }

  assert {
    condition     = tolist(aws_eks_cluster.this.vpc_config[0].public_access_cidrs) == tolist(["203.0.113.7/32"])
    error_message = "a public endpoint must answer the named networks only"
  }
}

run "logs" {
  command = plan

  assert {
    condition     = aws_eks_cluster.this.enabled_cluster_log_types == toset(["api", "audit", "authenticator", "controllerManager", "scheduler"])
    error_message = "all five types of control plane logs must be on"
  }

  assert {
    condition     = aws_cloudwatch_log_group.control_plane.name == "/aws/eks/shop-dev/cluster" && aws_cloudwatch_log_group.control_plane.kms_key_id == var.logs_key_arn && aws_cloudwatch_log_group.control_plane.retention_in_days >= 365
    error_message = "control plane logs must be encrypted with the key, and kept for 365 days or more"
  }
}

run "secrets" {
  command = plan

  assert {
    condition     = aws_eks_cluster.this.encryption_config[0].resources == toset(["secrets"]) && aws_eks_cluster.this.encryption_config[0].provider[0].key_arn == var.secrets_key_arn
    error_message = "Kubernetes Secrets must be encrypted with the key"
  }
}

run "life_cycle" {
  command = plan

  assert {
    condition     = aws_eks_cluster.this.deletion_protection && aws_eks_cluster.this.upgrade_policy[0].support_type == "STANDARD"
    error_message = "the cluster must be protected from deletion, and not slip into extended support"
  }

  assert {
    condition     = aws_eks_cluster.this.version == "1.36" && !aws_eks_cluster.this.bootstrap_self_managed_addons
    error_message = "nothing in the cluster may have a version that nobody chose"
  }
}

run "access" {
  command = plan

  variables {
    access = {
      operators = { principal_arn = "arn:aws:iam::111122223333:role/operators", policy = "AmazonEKSClusterAdminPolicy" }
      team      = { principal_arn = "arn:aws:iam::111122223333:role/team", policy = "AmazonEKSViewPolicy", namespaces = ["apps"] }
    }
  }

  assert {
    condition     = aws_eks_cluster.this.access_config[0].authentication_mode == "API" && !aws_eks_cluster.this.access_config[0].bootstrap_cluster_creator_admin_permissions
    error_message = "access must come from access entries only, and whoever made the cluster must not stay its administrator"
  }

  assert {
    condition     = { for name, entry in aws_eks_access_entry.this : name => entry.principal_arn } == { operators = "arn:aws:iam::111122223333:role/operators", team = "arn:aws:iam::111122223333:role/team" }
    error_message = "each entry must be for the role that it names"
  }

  assert {
    condition     = { for name, entry in aws_eks_access_policy_association.this : name => entry.access_scope[0].type } == { operators = "cluster", team = "namespace" } && aws_eks_access_policy_association.this["team"].access_scope[0].namespaces == toset(["apps"])
    error_message = "namespaces must limit an entry"
  }

  assert {
    condition     = aws_eks_access_policy_association.this["team"].policy_arn == "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
    error_message = "each entry must have the policy that it names"
  }
}

run "nobody_without_an_entry" {
  command = plan

  assert {
    condition     = length(aws_eks_access_entry.this) == 0
    error_message = "without entries nobody may use the API"
  }
}

run "role_of_the_control_plane" {
  command = plan

  assert {
    condition = jsondecode(aws_iam_role.cluster.assume_role_policy).Statement == [{
      Effect    = "Allow"
      Principal = { Service = "eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
    }]
    error_message = "only EKS may have the role"
  }

  assert {
    condition = [for attachment in aws_iam_role_policy_attachment.cluster : attachment.policy_arn] == [
      "arn:aws:iam::aws:policy/AmazonEKSBlockStoragePolicy",
      "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy",
      "arn:aws:iam::aws:policy/AmazonEKSComputePolicy",
      "arn:aws:iam::aws:policy/AmazonEKSLoadBalancingPolicy",
      "arn:aws:iam::aws:policy/AmazonEKSNetworkingPolicy",
    ]
    error_message = "the role may do what EKS needs and nothing else"
  }
}

run "auto_mode" {
  command = plan

  assert {
    condition     = aws_eks_cluster.this.compute_config[0].enabled && aws_eks_cluster.this.storage_config[0].block_storage[0].enabled && aws_eks_cluster.this.kubernetes_network_config[0].elastic_load_balancing[0].enabled
    error_message = "EKS takes compute, storage and load balancing of Auto Mode together or not at all"
  }

  assert {
    condition     = aws_eks_cluster.this.compute_config[0].node_pools == toset(["general-purpose", "system"])
    error_message = "both built-in node pools must be there"
  }

  assert {
    condition     = [for attachment in aws_iam_role_policy_attachment.nodes : attachment.policy_arn] == ["arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly", "arn:aws:iam::aws:policy/AmazonEKSWorkerNodeMinimalPolicy"]
    error_message = "nodes may join the cluster and pull images, and nothing else"
  }
}
run "refuses_a_public_endpoint_open_to_the_world" {
  command = plan

  variables {
    endpoint_public_access = true
    public_access_cidrs    = ["0.0.0.0/0"]
  }

  expect_failures = [var.public_access_cidrs]
}

run "refuses_half_the_world" {
  command = plan

  variables {
    endpoint_public_access = true
    public_access_cidrs    = ["0.0.0.0/1", "128.0.0.0/1"]
  }

  expect_failures = [var.public_access_cidrs]
}

run "refuses_a_public_endpoint_with_an_empty_list" {
  command = plan

  variables {
    endpoint_public_access = true
    public_access_cidrs    = []
  }

  expect_failures = [var.public_access_cidrs]
}

run "refuses_an_api_open_to_every_network" {
  command = plan

  variables {
    api_clients = { all = "0.0.0.0/0" }
  }

  expect_failures = [var.api_clients]
}

run "refuses_an_unsupported_version" {
  command = plan

  variables {
    kubernetes_version = "1.29"
  }

  expect_failures = [var.supported_versions]
}

run "refuses_a_wildcard_as_principal" {
  command = plan

  variables {
    access = { all = { principal_arn = "arn:aws:iam::111122223333:role/*", policy = "AmazonEKSViewPolicy" } }
  }

  expect_failures = [var.access]
}

run "refuses_an_unknown_policy" {
  command = plan

  variables {
    access = { all = { principal_arn = "arn:aws:iam::111122223333:role/team", policy = "AdministratorAccess" } }
  }

  expect_failures = [var.access]
}

run "refuses_a_name_that_is_none" {
  command = plan

  variables {
    name = "Shop"
  }

  expect_failures = [var.name]
}

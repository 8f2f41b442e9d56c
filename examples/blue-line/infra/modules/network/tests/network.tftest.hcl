mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }
}

variables {
  permissions_boundary_arn = "arn:aws:iam::111122223333:policy/shop-dev-boundary"
  name                     = "shop-dev"
  cidr                     = "10.0.0.0/16"
  zones                    = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
  logs_key_arn             = "arn:aws:kms:eu-west-1:111122223333:key/11111111-2222-3333-4444-555555555555"
}

run "closed_by_default" {
  command = plan

  assert {
    condition     = length(aws_default_security_group.this.ingress) == 0 && length(aws_default_security_group.this.egress) == 0
    error_message = "the VPC's default security group must have no rule"
  }

  assert {
    condition     = aws_default_security_group.this.tags["environment"] == "shop-dev-default-closed"
    error_message = "the default security group must have the environment by which it can be closed, and not opened"
  }

  assert {
    condition     = alltrue([for subnet in concat(values(aws_subnet.private), values(aws_subnet.public)) : subnet.map_public_ip_on_launch == false])
    error_message = "no subnet may give public addresses: map_public_ip_on_launch = false"
  }
}

run "flow_logs" {
  command = plan

  assert {
    condition     = aws_flow_log.this.traffic_type == "ALL" && aws_flow_log.this.log_destination_type == "cloud-watch-logs"
    error_message = "flow logs must hold all traffic, accepted and rejected"
  }

  assert {
    condition     = aws_cloudwatch_log_group.flow_logs.kms_key_id == var.logs_key_arn && aws_cloudwatch_log_group.flow_logs.retention_in_days >= 365
    error_message = "flow logs must be encrypted with the key, and kept for 365 days or more"
  }

  assert {
    condition = jsondecode(aws_iam_role.flow_logs.assume_role_policy).Statement == [{
      Effect    = "Allow"
      Principal = { Service = "vpc-flow-logs.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = "111122223333" } }
    }]
    error_message = "only VPC flow logs of this account may have the role"
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.flow_logs.policy).Statement == [{
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
      Resource = "arn:aws:logs:eu-west-1:111122223333:log-group:/aws/vpc/shop-dev/flow-logs:*"
    }]
    error_message = "the role may write to its own log group and do nothing else"
  }
}

run "subnets" {
  command = plan

  assert {
    condition     = [for zone in var.zones : aws_subnet.private[zone].cidr_block] == ["10.0.0.0/18", "10.0.64.0/18", "10.0.128.0/18"]
    error_message = "each zone must have a quarter of the network for nodes and pods"
  }

  assert {
    condition     = [for zone in var.zones : aws_subnet.public[zone].cidr_block] == ["10.0.240.0/22", "10.0.244.0/22", "10.0.248.0/22"]
    error_message = "public subnets must be at the end of the network"
  }

  assert {
    condition     = output.load_balancer_cidr == "10.0.240.0/20" && alltrue([for subnet in aws_subnet.public : cidrhost("${split("/", subnet.cidr_block)[0]}/20", 0) == "10.0.240.0"])
    error_message = "load_balancer_cidr must hold every public subnet"
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.private : subnet.tags["kubernetes.io/role/internal-elb"] == "1"]) && alltrue([for subnet in aws_subnet.public : subnet.tags["kubernetes.io/role/elb"] == "1"])
    error_message = "subnets must say which load balancers belong into them"
  }
}

run "a_way_out_in_each_zone" {
  command = plan

  assert {
    condition     = length(aws_nat_gateway.this) == 3 && tolist(keys(aws_route.nat)) == var.zones
    error_message = "each zone must have its own NAT gateway and a route to it"
  }

  assert {
    condition     = aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway" && aws_vpc_endpoint.s3.service_name == "com.amazonaws.eu-west-1.s3"
    error_message = "S3 must be reached through its gateway endpoint"
  }

  assert {
    condition     = length(aws_vpc_endpoint.interface) == 0 && length(aws_security_group.endpoints) == 0
    error_message = "interface endpoints cost money: only when asked for"
  }
}

run "one_nat_gateway" {
  command = plan

  variables {
    single_nat_gateway = true
  }

  assert {
    condition     = tolist(keys(aws_nat_gateway.this)) == tolist(["eu-west-1a"]) && tolist(keys(aws_route.nat)) == var.zones
    error_message = "there must be one NAT gateway, and a route to it from each zone"
  }
}

run "interface_endpoints" {
  command = plan

  variables {
    interface_endpoints = true
  }

  assert {
    condition     = length(setsubtract(["ecr.api", "ecr.dkr", "eks-auth", "sts"], keys(aws_vpc_endpoint.interface))) == 0 && alltrue([for endpoint in aws_vpc_endpoint.interface : endpoint.private_dns_enabled])
    error_message = "nodes must reach registry, Pod Identity and STS by their usual names"
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.endpoints[0].cidr_ipv4 == var.cidr && aws_vpc_security_group_ingress_rule.endpoints[0].from_port == 443 && aws_vpc_security_group_ingress_rule.endpoints[0].to_port == 443
    error_message = "endpoints must answer this network on port 443, and nothing else"
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.endpoints[0].description != null && aws_security_group.endpoints[0].description != null
    error_message = "every security group and rule must say what it is for"
  }
}

run "two_zones" {
  command = plan

  variables {
    cidr  = "10.8.0.0/20"
    zones = ["eu-west-1a", "eu-west-1b"]
  }

  assert {
    condition     = output.load_balancer_cidr == "10.8.15.0/24" && length(aws_subnet.public) == 2
    error_message = "the smallest network must work too"
  }
}

run "refuses_a_network_that_is_too_small" {
  command = plan

  variables {
    cidr = "10.0.0.0/21"
  }

  expect_failures = [var.cidr]
}

run "refuses_an_address_inside_a_network" {
  command = plan

  variables {
    cidr = "10.0.1.0/16"
  }

  expect_failures = [var.cidr]
}

run "refuses_public_addresses" {
  command = plan

  variables {
    cidr = "8.8.0.0/16"
  }

  expect_failures = [var.cidr]
}

run "refuses_a_network_within_another" {
  command = plan

  variables {
    other_networks = { office = "10.0.0.0/8" }
  }

  expect_failures = [var.other_networks]
}

run "refuses_a_network_around_another" {
  command = plan

  variables {
    other_networks = { vpn = "10.0.200.0/24" }
  }

  expect_failures = [var.other_networks]
}

run "takes_a_neighbour" {
  command = plan

  variables {
    other_networks = { staging = "10.1.0.0/16", services = "172.20.0.0/16" }
  }
}

run "refuses_one_zone" {
  command = plan

  variables {
    zones = ["eu-west-1a"]
  }

  expect_failures = [var.zones]
}

run "refuses_a_zone_twice" {
  command = plan

  variables {
    zones = ["eu-west-1a", "eu-west-1a"]
  }

  expect_failures = [var.zones]
}

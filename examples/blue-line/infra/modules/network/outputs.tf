output "vpc_id" {
  description = "ID of the VPC."
  value       = aws_vpc.this.id
}

output "private_subnet_ids" {
  description = "IDs of the private subnets, for the control plane, nodes and pods."
  value       = [for zone in var.zones : aws_subnet.private[zone].id]
  # A node that starts before there is a way out never joins.
  depends_on = [aws_route.nat, aws_route_table_association.private, aws_vpc_endpoint.s3, aws_vpc_endpoint.interface]
}

output "public_subnet_ids" {
  description = "IDs of the public subnets, for load balancers."
  value       = [for zone in var.zones : aws_subnet.public[zone].id]
}

output "load_balancer_cidr" {
  description = "The network that holds all public subnets: whatever comes through a load balancer comes from it."
  value       = local.load_balancer_cidr
}

output "nat_addresses" {
  description = "The public addresses with which nodes and pods are seen outside."
  value       = [for zone in local.nat_zones : aws_eip.nat[zone].public_ip]
}

# The role of the nodes that EKS makes. It can join the cluster and pull images, and nothing else.
resource "aws_iam_role" "nodes" {
  name                 = "${var.name}-nodes"
  description          = "Nodes of ${var.name}"
  permissions_boundary = var.permissions_boundary_arn

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = ["sts:AssumeRole"]
    }]
  })
}

resource "aws_iam_role_policy_attachment" "nodes" {
  for_each = toset(["AmazonEC2ContainerRegistryPullOnly", "AmazonEKSWorkerNodeMinimalPolicy"])

  role       = aws_iam_role.nodes.name
  policy_arn = "${local.policies}/${each.key}"
}

# The one place of versions. `make check` compares Terraform and Kubernetes with mise.toml and Makefile.
terraform {
  required_version = ">= 1.11.4, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "6.61.0"
    }
  }
}

locals {
  kubernetes_version = "1.36"

  # Until when AWS supports a version at the normal price
  # (https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html).
  supported_versions = {
    "1.35" = "2027-03-27"
    "1.36" = "2027-08-02"
  }
  # aws eks describe-addon-versions --kubernetes-version 1.36 --addon-name NAME
  addon_versions = {
    aws-ebs-csi-driver     = "v1.66.0-eksbuild.1"
    coredns                = "v1.14.3-eksbuild.23"
    eks-pod-identity-agent = "v1.3.10-eksbuild.3"
    kube-proxy             = "v1.36.0-eksbuild.25"
    vpc-cni                = "v1.22.4-eksbuild.3"
  }
}

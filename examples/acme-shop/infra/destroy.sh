#!/usr/bin/env bash
# Usage: infra/destroy.sh ENV - remove an environment. First what controllers in the cluster have made in
# AWS (load balancers, volumes), which Terraform does not know and which would stay, and cost money, and
# keep the network from going. Never production. Run it again when it stopped half-way.
#
#   CLUSTER=NAME  the name that kubectl gives the cluster, when it is not that of facts.yaml
#   YES=1         do not ask
set -euo pipefail

cd "$(dirname "$0")/.."
environment=${1:-}

if [[ $environment == production ]]; then
  echo "Production is not removed by a command. Nothing was changed." >&2
  exit 1
fi
if [[ -z $environment || ! -d infra/envs/$environment ]]; then
  echo "ENV=$environment: there is no infra/envs/$environment. Nothing was changed." >&2
  exit 1
fi

if grep -q '^ *deletion_protection *= true' "infra/envs/$environment/main.tf"; then
  echo "infra/envs/$environment/main.tf protects the cluster. Write deletion_protection = false there, and run" >&2
  echo "  make infra-plan infra-apply ENV=$environment" >&2
  echo "Nothing was changed." >&2
  exit 1
fi

fact() { node checks/lib/facts.js "$environment" --get "$1"; }
cluster=${CLUSTER:-$(fact cluster)}
region=$(fact region)

context=$(kubectl config view --minify --output 'jsonpath={.contexts[0].context.cluster}' 2>/dev/null || true)
# EKS calls a cluster arn:aws:eks:REGION:ACCOUNT:cluster/NAME.
if [[ -z $context || ${context##*/} != "$cluster" ]]; then
  echo "kubectl points at ${context:-no cluster}, and $environment is $cluster. Nothing was changed. Run" >&2
  echo "  aws eks update-kubeconfig --region $region --name $cluster" >&2
  exit 1
fi

echo "This will remove $environment:"
echo "  1. stop Argo CD in $context, so that nothing comes back"
echo "  2. delete every Ingress, every Service of type LoadBalancer and every volume in it, with its data"
echo "  3. destroy what Terraform has made in infra/envs/$environment; it shows that and asks again"
if [[ ${YES:-} != 1 ]]; then
  read -r -p "Type the name of the cluster to go on: " answer || true
  if [[ ${answer:-} != "$cluster" ]]; then
    echo "That is not $cluster. Nothing was changed." >&2
    exit 1
  fi
fi

# Its controllers, not its Applications: to delete one of those could delete what it manages in an order
# that leaves load balancers without the controller that removes them.
for workload in $(kubectl --namespace argocd get deployments,statefulsets --output name 2>/dev/null || true); do
  kubectl --namespace argocd scale --replicas=0 "$workload"
done

# Each waits until the controller has removed what stands behind it.
kubectl delete ingresses.networking.k8s.io --all --all-namespaces --timeout=10m
kubectl get services --all-namespaces --output \
  'jsonpath={range .items[?(@.spec.type=="LoadBalancer")]}{.metadata.namespace}{" "}{.metadata.name}{"\n"}{end}' |
  while read -r namespace name; do
    kubectl --namespace "$namespace" delete service "$name" --timeout=10m </dev/null
  done

# A volume goes when no pod uses it. The Prometheus operator would start its pods again.
for namespace in $(kubectl get persistentvolumeclaims --all-namespaces --output 'jsonpath={range .items[*]}{.metadata.namespace}{"\n"}{end}' | sort -u); do
  for kind in deployments statefulsets; do
    for workload in $(kubectl --namespace "$namespace" get "$kind" --output name); do
      kubectl --namespace "$namespace" scale --replicas=0 "$workload"
    done
  done
  kubectl --namespace "$namespace" delete persistentvolumeclaims --all --timeout=10m
done
for _ in {1..60}; do
  [[ -n $(kubectl get persistentvolumes --output name) ]] || break
  sleep 5
done
left=$(kubectl get persistentvolumes --output name)
if [[ -n $left ]]; then
  echo "These volumes are still there, so Terraform was not started; see 'kubectl describe' of them:" >&2
  echo "$left" >&2
  exit 1
fi

terraform -chdir="infra/envs/$environment" init -input=false -backend-config=state.tfbackend
terraform -chdir="infra/envs/$environment" destroy

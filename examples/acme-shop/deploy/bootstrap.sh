#!/usr/bin/env bash
# Usage: deploy/bootstrap.sh ENV - install the pinned Argo CD into the cluster of an environment, and
# hand over to its root Application. Run it again at any time: it changes nothing that is as it should be.
#
#   CLUSTER=NAME  the name that kubectl gives the cluster, when it is not that of facts.yaml
#   YES=1         do not ask
set -euo pipefail

cd "$(dirname "$0")/.."
environment=${1:-}

fact() { node checks/lib/facts.js "$environment" --get "$1"; }

node checks/lib/facts.js "$environment" --known
cluster=${CLUSTER:-$(fact cluster)}
repository=$(fact gitRepository)
region=$(fact region)

context=$(kubectl config view --minify --output 'jsonpath={.contexts[0].context.cluster}' 2>/dev/null || true)
server=$(kubectl config view --minify --output 'jsonpath={.clusters[0].cluster.server}' 2>/dev/null || true)
# EKS calls a cluster arn:aws:eks:REGION:ACCOUNT:cluster/NAME.
if [[ -z $context || ${context##*/} != "$cluster" ]]; then
  echo "kubectl points at ${context:-no cluster}, and $environment is $cluster. Nothing was changed. Run" >&2
  echo "  aws eks update-kubeconfig --region $region --name $cluster" >&2
  exit 1
fi

# Argo CD is about to read this branch: what is only here would not be what it applies.
if [[ -n $(git status --porcelain -- deploy monitoring 2>/dev/null) ]]; then
  echo "deploy/ or monitoring/ has changes that are not committed. Commit and push them first. Nothing was changed." >&2
  exit 1
fi

echo "This will, in the cluster $context ($server):"
echo "  1. make the namespace argocd and install the Argo CD of deploy/platform/argo-cd into it"
echo "  2. apply the projects and the root Application, which then brings everything else from"
echo "     $repository, branch main, environment $environment"
if [[ ${YES:-} != 1 ]]; then
  read -r -p "Type the name of the cluster to go on: " answer || true
  if [[ ${answer:-} != "$cluster" ]]; then
    echo "That is not $cluster. Nothing was changed." >&2
    exit 1
  fi
fi

# As the manager that Argo CD itself uses, so that it finds its own fields when it takes over.
apply() { kubectl apply --server-side --force-conflicts --field-manager=argocd-controller "$@"; }

apply --filename deploy/policies/namespaces/argocd.yaml
node checks/lib/render.js "$environment" --chart argo-cd | apply --namespace argocd --filename -
# Not `kubectl wait`: it fails at once while a new definition has no conditions yet.
kinds=applications.argoproj.io,applicationsets.argoproj.io,appprojects.argoproj.io
for _ in {1..30}; do
  kubectl --namespace argocd get "$kinds" &>/dev/null && break
  sleep 2
done
kubectl --namespace argocd get "$kinds" >/dev/null
for workload in $(kubectl --namespace argocd get deployments,statefulsets --output name); do
  kubectl --namespace argocd rollout status --timeout=5m "$workload"
done
kustomize build "deploy/argocd/overlays/$environment" |
  apply --selector bootstrap=true --filename -

echo "Argo CD runs, and the root Application is applied. See what it does:"
echo "  kubectl --namespace argocd get applications"
if [[ -z $(kubectl --namespace argocd get secrets --selector argocd.argoproj.io/secret-type=repository --output name) ]]; then
  echo "It has no credential for $repository. If that is private, see docs/bootstrap.md."
fi

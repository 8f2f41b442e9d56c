#!/usr/bin/env bash
# Usage: infra/lint.sh [FOLDER...] - format, validate and test Terraform: all of it, or these folders. It
# asks no AWS account: tests run on plans that Terraform makes with a stand-in for AWS.
set -euo pipefail

cd "$(dirname "$0")/.."
if [[ $# -eq 0 ]]; then
  set -- infra/modules/* infra/envs/*
  [[ ! -d infra/bootstrap ]] || set -- infra/bootstrap "$@"
fi

# One download of the provider for all folders.
export TF_PLUGIN_CACHE_DIR=${TF_PLUGIN_CACHE_DIR:-$HOME/.cache/terraform/plugins}
export TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE=true
export TF_IN_AUTOMATION=1
mkdir -p "$TF_PLUGIN_CACHE_DIR"

terraform fmt -check -diff -recursive infra
# What is locked on the way is not for keeping: `make infra-plan` locks what an environment uses.
made=
trap 'rm -f "$made"' EXIT
for folder in "$@"; do
  echo "$folder:"
  lock=$folder/.terraform.lock.hcl
  [[ -e $lock ]] || made=$lock
  terraform -chdir="$folder" init -backend=false -input=false -no-color >/dev/null
  terraform -chdir="$folder" validate -no-color
  terraform -chdir="$folder" test -no-color
  rm -f "$made"
  made=
done

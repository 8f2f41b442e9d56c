#!/usr/bin/env bash
# Usage: infra/lint.sh [FOLDER...] - format, validate, lint and test Terraform: all of it, or these folders. It
# asks no AWS account: tests run on plans that Terraform makes with a stand-in for AWS.
set -euo pipefail

cd "$(dirname "$0")/.."

# One folder; it says at once all that it has to say. A test begins with validating what it is for.
if [[ ${1:-} == --judge ]]; then
  folder=$2
  if said=$(tflint --chdir="$folder" --config="$PWD/infra/.tflint.hcl" 2>&1 && terraform -chdir="$folder" test -no-color 2>&1); then
    echo "$folder: ${said##*$'\n'}"
    exit
  fi
  echo "$folder: $said"
  exit 1
fi

[[ $# -gt 0 ]] || set -- infra/modules/* infra/bootstrap infra/envs/*

# One download of the provider for all folders.
export TF_PLUGIN_CACHE_DIR=${TF_PLUGIN_CACHE_DIR:-$HOME/.cache/terraform/plugins}
export TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE=true
export TF_IN_AUTOMATION=1
mkdir -p "$TF_PLUGIN_CACHE_DIR"

terraform fmt -check -diff -recursive infra

# One after the other, as they share the download. What is locked on the way is not for keeping: `make
# infra-plan` locks what an environment uses.
made=()
trap 'rm -f "${made[@]:-}"' EXIT
for folder in "$@"; do
  lock=$folder/.terraform.lock.hcl
  [[ -e $lock ]] || made+=("$lock")
  terraform -chdir="$folder" init -backend=false -input=false -no-color >/dev/null
done

printf '%s\0' "$@" | xargs -0 -n 1 -P "$(getconf _NPROCESSORS_ONLN)" infra/lint.sh --judge

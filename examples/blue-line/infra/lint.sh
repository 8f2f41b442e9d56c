#!/usr/bin/env bash
# Usage: infra/lint.sh [FOLDER...] - format, validate, lint and test Terraform: all of it, or these folders. It
# asks no AWS account: tests run on plans that Terraform makes with a stand-in for AWS.
set -euo pipefail

cd "$(dirname "$0")/.."

init() { terraform -chdir="$1" init -backend=false -input=false -no-color; }

# One folder; it says at once all that it has to say. A test begins with validating what it is for.
judge() { init "$1" && tflint --chdir="$1" --config="$PWD/infra/.tflint.hcl" && terraform -chdir="$1" test -no-color; }
if [[ ${1:-} == --judge ]]; then
  if said=$(judge "$2" 2>&1); then
    echo "$2: ${said##*$'\n'}"
    exit
  fi
  echo "$2: $said"
  exit 1
fi

[[ $# -gt 0 ]] || set -- infra/modules/* infra/bootstrap infra/envs/*

export TF_PLUGIN_CACHE_DIR=${TF_PLUGIN_CACHE_DIR:-$HOME/.cache/terraform/plugins}
export TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE=true
export TF_IN_AUTOMATION=1
mkdir -p "$TF_PLUGIN_CACHE_DIR"

terraform fmt -check -diff -recursive infra

# All run with the provider that environments have. What is locked here is not for keeping: `make infra-plan`
# locks what an environment uses.
version=$(sed -n 's/^ *version = "\([0-9.]*\)"$/\1/p' infra/modules/environment/versions.tf)
made=()
trap 'rm -f "${made[@]:-}"' EXIT
for folder in "$@"; do
  lock=$folder/.terraform.lock.hcl
  [[ -e $lock ]] && continue
  made+=("$lock")
  printf 'provider "registry.terraform.io/hashicorp/aws" {\n  version = "%s"\n}\n' "$version" >"$lock"
done

# The first one downloads it for all.
init "$1" >/dev/null
printf '%s\0' "$@" | xargs -0 -n 1 -P "$(getconf _NPROCESSORS_ONLN)" infra/lint.sh --judge

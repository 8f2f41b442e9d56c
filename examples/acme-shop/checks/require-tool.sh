#!/usr/bin/env bash
# Usage: checks/require-tool.sh TOOL... - end with a remedy when a tool is missing, or Node.js is too old for
# the programs here, and warn when a version is not the one that mise.toml pins and CI uses.
set -euo pipefail

cd "$(dirname "$0")/.."
status=0

# The key of a tool in mise.toml; nothing for what mise does not install.
pin_of() {
  case "$1" in
    node) echo 'node' ;;
    trivy) echo '"aqua:aquasecurity/trivy"' ;;
    cosign) echo '"aqua:sigstore/cosign"' ;;
    crane) echo '"aqua:google/go-containerregistry"' ;;
    gh) echo '"aqua:cli/cli"' ;;
    hadolint) echo '"aqua:hadolint/hadolint"' ;;
    shellcheck) echo '"aqua:koalaman/shellcheck"' ;;
    mailpit) echo '"aqua:axllent/mailpit"' ;;
    amtool | alertmanager) echo '"aqua:prometheus/alertmanager"' ;;
    promtool | prometheus) echo '"aqua:prometheus/prometheus"' ;;
    actionlint) echo '"aqua:rhysd/actionlint"' ;;
    zizmor) echo '"aqua:zizmorcore/zizmor"' ;;
    terraform) echo '"aqua:hashicorp/terraform"' ;;
    tflint) echo '"aqua:terraform-linters/tflint"' ;;
    helm) echo '"aqua:helm/helm"' ;;
    kubeconform) echo '"aqua:yannh/kubeconform"' ;;
    kubectl) echo '"aqua:kubernetes/kubernetes/kubectl"' ;;
    kustomize) echo '"aqua:kubernetes-sigs/kustomize"' ;;
  esac
}

version_of() {
  case "$1" in
    cosign) cosign version --json ;;
    crane) crane version ;;
    helm) helm version --short ;;
    kubeconform) kubeconform -v ;;
    kubectl) kubectl version --client ;;
    kustomize) kustomize version ;;
    # What it thinks of its configuration comes before the version.
    terraform) terraform version 2>/dev/null ;;
    mailpit) mailpit version --no-release-check ;;
    *) "$1" --version ;;
  esac
}

remedy_of() {
  case "$1" in
    aws) echo 'install the AWS CLI: https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html' ;;
    docker) echo 'install Docker Engine: https://docs.docker.com/engine/install/' ;;
    *)
      if command -v mise >/dev/null; then
        # shellcheck disable=SC2016 # for the reader to run
        echo "run 'mise install'; after that, let this shell use it: "'eval "$(mise activate bash)" (or zsh)'
      else
        echo "run 'mise install' (https://mise.jdx.dev), or put $1 on PATH yourself"
      fi
      ;;
  esac
}

for tool in "$@"; do
  if ! command -v "$tool" >/dev/null; then
    echo "$tool is missing: $(remedy_of "$tool")" >&2
    status=1
    continue
  fi
  pin=$(pin_of "$tool")
  [[ -n $pin ]] || continue
  wanted=$(sed -n "s|^$pin = \"\([^\"]*\)\".*|\1|p" mise.toml)
  # Not head: it hangs up on a program that says more, which then ends this one without a word.
  found=$(version_of "$tool" 2>&1 | awk 'NR <= 2')
  [[ ! " ${found//$'\n'/ } " =~ [^0-9.]${wanted//./\\.}[^0-9.] ]] || continue
  where="$(command -v "$tool") is: ${found%%$'\n'*}"
  major=${found#v}
  if [[ $tool == node && ${major%%.*} =~ ^[0-9]+$ && ${wanted%%.*} =~ ^[0-9]+$ ]] && ((${major%%.*} < ${wanted%%.*})); then
    # An older one would run some of our programs, and do nothing without a word.
    echo "node is too old; mise.toml pins $wanted, and $where: $(remedy_of node)" >&2
    status=1
  else
    echo "warning: mise.toml pins $tool $wanted; $where" >&2
  fi
done
exit "$status"

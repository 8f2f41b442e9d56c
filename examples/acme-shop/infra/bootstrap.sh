#!/usr/bin/env bash
# Usage: infra/bootstrap.sh - make what an AWS account needs before Terraform and GitHub can work with it, or
# bring it up to date: infra/bootstrap/README.md. For a person with administrator's rights. Its own state
# goes into the bucket that it makes. Run it again when it stopped half-way, and when a service is added.
#
#   ENVS="dev staging"  the environments of this account; as last time, and the first time all
#   REGISTRY=no         another account holds the images; as last time, and the first time yes
#   YES=1               do not ask
set -euo pipefail

cd "$(dirname "$0")/.."
folder=infra/bootstrap
project=acme-shop
region=eu-west-1

terraform() { command terraform -chdir="$folder" "$@"; }

account=$(aws sts get-caller-identity --query Account --output text)
bucket=$project-state-$account

# Until the bucket is there, Terraform keeps state in a file. This makes it do so.
override=$folder/local_override.tf
state=$folder/$account.tfstate
trap 'rm -f "$override"' EXIT

key_arn() {
  aws s3api get-bucket-encryption --bucket "$bucket" --output text --query \
    'ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault.KMSMasterKeyID'
}

if aws s3api head-object --bucket "$bucket" --key bootstrap/terraform.tfstate >/dev/null 2>&1; then
  rm -f "$state" "$state.backup"
  terraform init -input=false -reconfigure -backend-config="bucket=$bucket" -backend-config="kms_key_id=$(key_arn)"
  ENVS=${ENVS:-$(terraform output -json environments | node -p 'JSON.parse(fs.readFileSync(0)).join(" ")')}
  [[ $(terraform output -json registry) == true ]] || REGISTRY=${REGISTRY:-no}
else
  if [[ ! -e $state ]] && aws s3api head-bucket --bucket "$bucket" >/dev/null 2>&1; then
    echo "The bucket $bucket is there, and has no state of $folder: whoever ran this before has it in" >&2
    echo "$state, and should run it again. Nothing was changed." >&2
    exit 1
  fi
  printf 'terraform {\n  backend "local" {\n    path = "%s.tfstate"\n  }\n}\n' "$account" >"$override"
  terraform init -input=false -reconfigure
fi

environments=${ENVS:-$(cd infra/envs && echo *)}
list=$(node -p 'JSON.stringify(process.argv[1].trim().split(/[ ,]+/))' "$environments")
echo "Account $account, region $region, environments: $environments"
registry=true
[[ ${REGISTRY:-yes} != no ]] || registry=false
terraform apply ${YES:+-auto-approve} -var "environments=$list" -var "registry=$registry"
if [[ -e $override ]]; then
  rm "$override"
  terraform init -input=false -migrate-state -force-copy -backend-config="bucket=$bucket" -backend-config="kms_key_id=$(key_arn)"
  # The bucket has it now.
  rm -f "$state" "$state.backup"
fi

terraform output -json | node checks/lib/bootstrap.js

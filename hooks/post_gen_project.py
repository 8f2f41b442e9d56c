"""Delete what was not chosen, and print what to do next."""

import os
import shlex
import shutil
from pathlib import Path

# Path in the generated repository: kept when this renders to something. A file may have a condition
# in its name instead, a folder may not: cookiecutter stops at an empty name of a folder.
KEPT_WHEN = {
    "deploy/apps/<< cookiecutter.service_name >>/base": "<< cookiecutter.__kustomize >>",
    "deploy/charts": "<< cookiecutter.__helm >>",
    "deploy/components/release": "<< cookiecutter.__kustomize >>",
    "deploy/platform/argo-rollouts": "<< cookiecutter.__canary >>",
    "deploy/policies/network/argo-rollouts": "<< cookiecutter.__canary >>",
    "deploy/policies/network/kube-system": "<< cookiecutter.__auto_mode >>",
    "infra/modules/nodes": "<< cookiecutter.__managed_nodes >>",
    "infra/modules/registry": "<< cookiecutter.__ecr >>",
    "monitoring/alertmanager/templates/slack.tmpl": "<< cookiecutter.__slack >>",
    "monitoring/alertmanager/templates/email.tmpl": "<< cookiecutter.__email >>",
}

for path, kept in KEPT_WHEN.items():
    if kept:
        continue
    if Path(path).is_dir():
        shutil.rmtree(path)
    else:
        Path(path).unlink()

# From where the user is: a tool such as make may have gone elsewhere.
here = os.environ.get("PWD", "")
path = os.path.relpath(Path.cwd(), here if Path(here).is_dir() else Path.cwd().parent)

print(f"""
<< cookiecutter.project_slug >> is ready. Next:
  cd {shlex.quote(path)}
  git init -b main && git add . && git commit -m 'Start from Slipway'
  mise install    # https://mise.jdx.dev
  make dev        # the service at http://127.0.0.1:8080, its metrics at :9090/metrics
  make check      # every linter and contract check; make doctor says what is amiss
""")

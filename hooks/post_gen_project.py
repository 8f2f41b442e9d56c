"""Delete what was not chosen, and print what to do next."""

from pathlib import Path

# Path in the generated repository: kept when this renders to something.
KEPT_WHEN = {
    "monitoring/alertmanager/templates/slack.tmpl": "<< cookiecutter.__slack >>",
    "monitoring/alertmanager/templates/email.tmpl": "<< cookiecutter.__email >>",
}

for path, kept in KEPT_WHEN.items():
    if not kept:
        Path(path).unlink()

print("""
<< cookiecutter.project_slug >> is ready. Next:
  cd << cookiecutter.project_slug >>
  git init -b main && git add . && git commit -m 'Start from Slipway'
  mise install && make setup test check
""")

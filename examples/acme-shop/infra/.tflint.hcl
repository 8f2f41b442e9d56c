# The rules that TFLint brings: they are about the language. AWS's values are judged by tests and Checkov.
config {
  call_module_type = "local"
}

plugin "terraform" {
  enabled = true
  preset  = "all"
}

# infra/envs has values only, so no variables.
rule "terraform_standard_module_structure" {
  enabled = false
}

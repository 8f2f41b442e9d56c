output "arn" {
  description = "ARN of the key."
  # Not before the alias, so that whoever uses the key finds it under its name.
  value      = aws_kms_key.this.arn
  depends_on = [aws_kms_alias.this]
}

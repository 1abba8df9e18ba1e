variable "hugging_face_token" {
  description = "Token of an account that has accepted the model's terms. Reaches neither plan nor state."
  type        = string
  default     = "hf_sandbox"
  sensitive   = true
  ephemeral   = true
}

resource "openmodel_endpoint" "llama" {
  name     = "llama"
  model    = "meta-llama/Llama-3.1-8B-Instruct"
  revision = "main"
  surface  = "cloud_run"

  workload = {
    context_length  = 8192
    max_concurrency = 16
    input_tokens    = 1024
    output_tokens   = 256
  }
  scaling = {
    min_replicas = 0
    max_replicas = 2
  }
  access = {
    invokers = ["serviceAccount:app@acme-ml.iam.gserviceaccount.com"]
  }
  budget = {
    max_hourly_cost = "3.00"
  }

  # A gated model: the container reads this token from Secret Manager when it starts.
  hugging_face_token_wo         = var.hugging_face_token
  hugging_face_token_wo_version = 1

  labels = {
    service = "chat"
  }
}

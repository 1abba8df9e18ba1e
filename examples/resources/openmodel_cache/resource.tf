variable "model" {
  description = "Repository on the Hub. The default is one of the sandbox's."
  type        = string
  default     = "openmodel/tiny-random-llama"
}

resource "openmodel_cache" "chat" {
  repository = var.model
  revision   = "main"
  tracking   = "pinned"
  regions    = ["europe-west4"]

  # Judged before a byte moves.
  licenses = ["apache-2.0", "mit"]
  formats  = ["safetensors"]
  scan = {
    on_unscanned = "wait"
  }
  # Only what your release team signed, with `model_signing sign key`:
  # require_signature = { public_keys = [file("release.pub")] }

  # Snapshots of earlier commits that stay beside the newest.
  retention = 1
  labels = {
    service = "chat"
  }
}

# Serves from the bucket of its region, and never asks the Hub.
resource "openmodel_endpoint" "chat" {
  name  = "chat"
  model = openmodel_cache.chat.repository
  cache = openmodel_cache.chat.id

  workload = {
    context_length  = 128
    max_concurrency = 8
  }
}

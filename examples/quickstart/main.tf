terraform {
  required_providers {
    openmodel = { source = "openmodel/openmodel" }
  }
}

provider "openmodel" {
  project = "acme-ml"
  region  = "us-central1"
}

resource "openmodel_endpoint" "chat" {
  name  = "chat"
  model = "Qwen/Qwen2.5-7B-Instruct"

  workload = {
    context_length  = 8192
    max_concurrency = 16
  }
  budget = {
    max_monthly_cost = "1200.00"
  }
}

output "openai_base_url" {
  value = openmodel_endpoint.chat.openai_base_url
}

output "model" {
  value = openmodel_endpoint.chat.model
}

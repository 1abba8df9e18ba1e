data "openmodel_model" "qwen" {
  model = "Qwen/Qwen2.5-7B-Instruct"
}

locals {
  # Without the Hub: file("config.json") in place of facts.
  memory = provider::openmodel::memory_estimate(data.openmodel_model.qwen.facts, {
    accelerator     = "nvidia-l4"
    context_length  = 8192
    max_concurrency = 16
    sequence_length = 1280
  })
}

locals {
  # With LoRA adapters beside it; draft_tokens is for models that predict further tokens.
  adapted = provider::openmodel::memory_estimate(data.openmodel_model.qwen.facts, {
    accelerator    = "nvidia-l4"
    context_length = 8192
    adapter_count  = 4
    adapter_rank   = 16
  })
}

output "fits" {
  value = "${local.memory.fits}: ${local.memory.reason}"
}

output "adapters" {
  value = "${local.adapted.weights_gib} GiB of weights, adapters among them"
}

output "kv_cache" {
  value = "${local.memory.kv_cache_gib} GiB, ${local.memory.kv_capacity_tokens} tokens"
}

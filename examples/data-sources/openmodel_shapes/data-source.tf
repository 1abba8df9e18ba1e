# What holds the model under this load, the cheapest first.
data "openmodel_shapes" "chat" {
  model    = "Qwen/Qwen2.5-7B-Instruct"
  workload = { context_length = 8192, max_concurrency = 16, max_tpot_ms = 100 }

  surfaces         = ["cloud_run", "vertex", "compute"]
  regions          = ["us-central1", "europe-west4"]
  quantizations    = ["none", "fp8"]
  allowed_licenses = ["apache-2.0", "mit"]
  limit            = 5

  lifecycle {
    postcondition {
      condition     = self.chosen != null
      error_message = "Nothing holds the model: ${self.reason}"
    }
  }
}

output "ranking" {
  value = [
    for shape in data.openmodel_shapes.chat.shapes : join(", ", [
      "${shape.shape} on ${shape.surface} in ${shape.region}",
      shape.quantization == null ? "as stored" : shape.quantization,
      "${coalesce(shape.tpot_ms, "?")} ms a token",
      shape.hourly == null ? "price not known" : "${shape.hourly} USD/h",
    ])
  ]
}

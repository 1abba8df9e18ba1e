# A load for several replicas, a limit of time, weights in 8 bits, and the cheapest token.
resource "openmodel_endpoint" "support" {
  name  = "support"
  model = "Qwen/Qwen2.5-7B-Instruct"

  workload = {
    context_length      = 8192
    max_concurrency     = 16
    requests_per_second = 1.5
    max_tpot_ms         = 100
  }
  quantization = "fp8"
  objective    = "cost_per_token"

  scaling = {
    min_replicas = 1
    max_replicas = 3
  }
  budget = {
    max_monthly_cost = "3500.00"
  }
}

locals {
  machine = provider::openmodel::monthly_cost("g2-standard-12", {
    region   = "us-central1"
    replicas = 2
  })
}

output "monthly" {
  value = "${local.machine.monthly} ${local.machine.currency}, prices of ${local.machine.price_date}"
}

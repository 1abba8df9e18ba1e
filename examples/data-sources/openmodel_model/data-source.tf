data "openmodel_model" "qwen" {
  model = "Qwen/Qwen2.5-7B-Instruct"
}

output "licence" {
  value = data.openmodel_model.qwen.licence
}

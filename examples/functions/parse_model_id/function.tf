output "organisation" {
  value = provider::openmodel::parse_model_id("meta-llama/Llama-3.1-8B-Instruct").namespace
}

output "accelerators" {
  value = provider::openmodel::parse_shape("a3-highgpu-8g").accelerator_count
}

output "slices" {
  value = provider::openmodel::parse_shape("v6e").shapes
}

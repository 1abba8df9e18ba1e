resource "openmodel_cache" "chat" {
  repository = "openmodel/tiny-random-llama"
}

# Often a cache of another configuration; then `uri` is its address as text.
data "openmodel_snapshot" "chat" {
  uri = openmodel_cache.chat.id

  lifecycle {
    postcondition {
      condition     = self.complete
      error_message = "The snapshot was altered: ${join(", ", self.drift)}"
    }
  }
}

output "weights" {
  value = {
    for file in data.openmodel_snapshot.chat.files : file.path => file.sha256
    if endswith(file.path, ".safetensors")
  }
}

terraform {
  required_providers {
    openmodel = { source = "openmodel/openmodel" }
  }
}

# Every argument is optional: project and region fall back to GOOGLE_PROJECT and GOOGLE_REGION,
# credentials to Application Default Credentials, and the Hub token to HF_TOKEN.
provider "openmodel" {
  project = "acme-ml"
  region  = "us-central1"

  default_labels = {
    team = "search"
  }
}

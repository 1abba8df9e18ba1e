# By full name, or by project/region/name.
terraform import openmodel_endpoint.llama projects/acme-ml/locations/us-central1/services/llama
terraform import openmodel_endpoint.llama acme-ml/us-central1/llama

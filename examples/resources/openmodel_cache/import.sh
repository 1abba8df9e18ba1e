# By the address of a snapshot: what it is made from lies beside it.
terraform import openmodel_cache.chat gs://openmodel-acme-ml-us-central1/models/openmodel/tiny-random-llama/094782df04d62e9f99de73b517dd7dbce3f0bde2

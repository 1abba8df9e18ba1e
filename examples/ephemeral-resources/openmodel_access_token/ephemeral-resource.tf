# Opened anew by every plan and apply, and never stored.
ephemeral "openmodel_access_token" "caller" {}

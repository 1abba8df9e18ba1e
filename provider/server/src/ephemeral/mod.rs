//! Ephemeral resources, a file each.

pub(crate) mod access_token;

//! Ephemeral resources, a file each.

pub mod access_token;

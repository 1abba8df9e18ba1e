//! The framework from outside: the plan pipeline, a provider of one's own, and the real Terraform.

mod boxes;
mod plan;
mod provider;
mod resource;
mod terraform;

//! The `openmodel` command line as a library, so that the acceptance tests drive Terraform the
//! very way the quickstart does.
//!
//! | module | what it does |
//! |---|---|
//! | [`terraform`] | finds the real `terraform`, builds the provider, lays a mirror, runs commands |
//! | [`quickstart`] | the whole way on the sandbox, each command shown with its output |

pub mod evaluate;
pub mod models_file;
pub mod quickstart;
pub mod terraform;

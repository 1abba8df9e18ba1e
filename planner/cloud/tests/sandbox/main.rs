//! The adapters against the sandbox: whole life cycles, with lost answers, cuts and failures.

mod contents;
mod create;
mod credentials;
mod hub;
mod repository;
mod update;
mod world;

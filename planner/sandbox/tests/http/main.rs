//! The sandbox over HTTP, as clients use it.

mod common;
mod copies;
mod hub;
mod hub_files;
mod jobs;
mod run;
mod storage;
mod transfer;
mod upload;
mod volumes;
mod world;

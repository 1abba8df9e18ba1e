//! Moves the files of a Hub repository to where they are served from, and verifies each byte.
//!
//! | module | says |
//! |---|---|
//! | [`arrived`] | what Storage Transfer Service fetched: verified where it waits, and moved to its name |
//! | [`digest`] | what bytes are: SHA-256, CRC32C, the Hub's object id; each can be put down and taken up |
//! | [`file`](mod@file), [`ports`] | how one file is moved, between an origin and a store that it knows nothing of |
//! | [`hub`], [`folder`], [`bucket`] | the Hub as an origin; a local folder, and Cloud Storage, as stores |
//! | [`inventory`](mod@inventory) | what lies in a bucket: snapshots, and what was never finished |
//! | [`mirror`] | a snapshot made, by one process or by several tasks |
//! | [`progress`](mod@progress) | how far a transfer is, in a line |
//! | [`repository`] | all its files at once |
//! | [`select`] | which files of a repository are kept, and why not the others |
//! | [`snapshot`] | the manifest that makes files in Cloud Storage a snapshot; what differs from it |
//! | [`throttle`] | a limit of bytes a second |

pub mod arrived;
pub mod bucket;
pub mod digest;
pub mod file;
pub mod folder;
pub mod hub;
pub mod inventory;
pub mod mirror;
pub mod ports;
pub mod progress;
pub mod repository;
pub mod select;
pub mod snapshot;
pub mod throttle;

//! Moves the files of a Hub repository to where they are served from, and verifies each byte.
//!
//! | module | says |
//! |---|---|
//! | [`digest`] | what bytes are: SHA-256, CRC32C, the Hub's object id; each can be put down and taken up |
//! | [`file`](mod@file), [`ports`] | how one file is moved, between an origin and a store that it knows nothing of |
//! | [`hub`], [`folder`] | the Hub as an origin, a local folder as a store |
//! | [`pieces`] | how a file is cut so that a killed transfer goes on |
//! | [`repository`] | all its files at once |
//! | [`select`] | which files of a repository are kept, and why not the others |

pub mod digest;
pub mod file;
pub mod folder;
pub mod hub;
pub mod pieces;
pub mod ports;
pub mod repository;
pub mod select;

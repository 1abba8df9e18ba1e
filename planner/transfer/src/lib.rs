//! Moves the files of a Hub repository to where they are served from, and verifies each byte.
//!
//! | module | says |
//! |---|---|
//! | [`digest`] | what bytes are: SHA-256, CRC32C, the Hub's object id; each can be put down and taken up |
//! | [`select`] | which files of a repository are kept, and why not the others |

pub mod digest;
pub mod select;

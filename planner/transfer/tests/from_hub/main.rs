//! From the sandbox's Hub to a folder and to the sandbox's Cloud Storage: what arrives is what the Hub
//! lists, whatever happens on the way.

mod bucket;
mod copies;
mod folder;
mod others;
mod world;

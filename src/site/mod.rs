//! What a proxy on a host answers by itself: files of a directory, responses that the configuration
//! holds, pages for errors, and the compression of all that goes to clients.
//!
//! It knows no routes, nodes or sessions.
//!
//! Runs for every request.

mod compression;
mod disk;
mod error_pages;
mod file_body;
mod file_path;
mod files;
pub(crate) mod keys;
mod range;
mod render;
mod resolve;
mod respond;
mod version;

pub(crate) use compression::{
    Coding, CompressedBody, Compression, DIGESTS, Permit, put_coding, put_vary,
};
pub(crate) use disk::FileError;
pub(crate) use error_pages::{ErrorPages, PAGE_BYTES_MAX, Page};
pub(crate) use file_body::FileBody;
pub(crate) use file_path::decoded;
pub(crate) use files::{Files, FilesSettings, Found};
pub(crate) use render::{render_compression, render_files, render_pages, render_respond};
pub(crate) use resolve::{compression, error_pages, files, location, respond};
pub(crate) use respond::Respond;
pub(crate) use version::members;

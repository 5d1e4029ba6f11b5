//! From `store.url` to a file that only we can read.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::StoreError;

/// The file that a URL names, absolute. `sqlite:PATH` and `sqlite://PATH` are the forms.
pub(crate) fn path(url: &str) -> Result<PathBuf, StoreError> {
    let unsupported = |said: &str| Err(StoreError::Unsupported(said.to_owned()));
    if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        // The URL may hold a password: it is not repeated.
        return unsupported("PostgreSQL is not in this version: `store.url` is `sqlite:PATH`");
    }
    let Some(rest) = url.strip_prefix("sqlite:") else {
        return unsupported("`store.url` is not `sqlite:PATH`");
    };
    let name = rest.strip_prefix("//").unwrap_or(rest);
    if name.is_empty() || name.contains(":memory:") {
        return unsupported("`store.url` names no file: an incident must survive a restart");
    }
    if name.contains('?') {
        return unsupported("parameters after `?` in `store.url` are not in this version");
    }
    std::path::absolute(name).map_err(|cause| StoreError::File { path: name.into(), cause })
}

/// Makes the file, readable by its owner only, where there is none; SQLite gives its side files the same mode.
pub(crate) fn make(path: &Path) -> Result<(), StoreError> {
    if let Some(directory) = path.parent().filter(|directory| !directory.is_dir()) {
        return Err(StoreError::NoDirectory(directory.to_owned()));
    }
    let opened =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    opened.map(drop).map_err(|cause| StoreError::File { path: path.to_owned(), cause })
}

/// The URL for the driver, which undoes the percent encoding: names may hold blanks, `?` and `#`.
pub(crate) fn driver_url(path: &Path) -> String {
    let mut url = String::from("sqlite://");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                url.push(char::from(*byte))
            }
            other => url.push_str(&format!("%{other:02X}")),
        }
    }
    url.push_str("?mode=rw");
    url
}

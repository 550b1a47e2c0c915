//! Where a node listens: on a port, or on a Unix socket.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::settings::NodeAddress;
use crate::yaml::Diagnostic;

/// Where a node listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// On a port of a host.
    Tcp(NodeAddress),
    /// On a Unix socket with this absolute path; `unix:/run/app.sock`.
    Unix(Arc<Path>),
}

impl Endpoint {
    /// The Unix socket at `path`.
    ///
    /// # Errors
    ///
    /// What is wrong with the path, and what to write instead.
    pub(crate) fn unix(path: &str) -> Result<Self, Diagnostic> {
        let is_segment = |segment: &str| {
            !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_segment)) {
            let diagnostic = Diagnostic::new("has no absolute path of a socket");
            return Err(diagnostic.help("write unix:/run/app/1.sock, without spaces"));
        }
        if path.len() > PATH_BYTES_MAX {
            let help = format!("use at most {PATH_BYTES_MAX} bytes, the limit of the system");
            return Err(Diagnostic::new("has too long a path").help(help));
        }
        Ok(Self::Unix(Path::new(path).into()))
    }
}

impl From<NodeAddress> for Endpoint {
    fn from(address: NodeAddress) -> Self {
        Self::Tcp(address)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// unix(7): 108 bytes with the NUL at the end.
const PATH_BYTES_MAX: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unix_socket_has_an_absolute_path_that_the_system_can_take() {
        let longest = format!("/{}", "a".repeat(PATH_BYTES_MAX - 1));
        for path in ["/run/app/1.sock", "/a", &*longest] {
            assert_eq!(Endpoint::unix(path).unwrap().to_string(), format!("unix:{path}"));
        }
        for path in ["", "/", "a.sock", "//a", "/a/", "/a b", "/\u{e4}"] {
            let what = Endpoint::unix(path).unwrap_err();
            assert_eq!(what.what(), "has no absolute path of a socket", "{path}");
        }
        let refused = Endpoint::unix(&format!("{longest}a")).unwrap_err();
        assert_eq!(refused.what(), "has too long a path");
    }
}

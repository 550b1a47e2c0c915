//! What the files of the rules hold.
//!
//! Runs at start, at reload, or on a timer.

use std::path::Path;

use super::followed_file::{FileFault, FollowedFile};
use super::jwt_keys::{of_jwks, of_pem};
use super::passwords::Users;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RuleFile {
    /// Lines of `name:hash`.
    Users,
    /// A public key, PEM.
    PublicKey,
    /// A JWK set.
    JwkSet,
}

impl RuleFile {
    /// Checks that the file at `path` can be used. Blocks for some seconds at most.
    ///
    /// # Errors
    ///
    /// It cannot be read, or does not hold what it should.
    pub(crate) fn check(self, path: &Path) -> Result<(), FileFault> {
        match self {
            Self::Users => FollowedFile::open(path, Users::parse).map(drop),
            Self::PublicKey => FollowedFile::open(path, of_pem).map(drop),
            Self::JwkSet => FollowedFile::open(path, of_jwks).map(drop),
        }
    }

    /// What to write instead.
    pub(crate) fn help(self) -> &'static str {
        match self {
            Self::Users => "write the path of a file with what `htpasswd -nB NAME` prints",
            Self::PublicKey => "write the path of a file with what `openssl pkey -pubout` prints",
            Self::JwkSet => "write the path of a file with the JWK set of the issuer",
        }
    }
}

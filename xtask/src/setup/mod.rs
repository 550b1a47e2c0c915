//! `cargo xtask setup`: what the truth tests need in addition to Rust. Does nothing, within a second, when all
//! is there.

mod packages;
pub(crate) mod stamp;
mod tools;

use crate::command::Failure;

/// Installs what is missing: the programs of the system first, since the packages are fetched by them.
pub(crate) fn setup() -> Result<(), Failure> {
    for tool in tools::TOOLS {
        tools::provide(tool)?;
    }
    packages::node()?;
    packages::python()
}

/// What `cargo xtask edge` needs: that of the other tests, and more programs.
pub(crate) fn edge() -> Result<(), Failure> {
    setup()?;
    tools::EDGE_TOOLS.iter().try_for_each(tools::provide)
}

/// OpenSSL alone, which makes certificates.
pub(crate) fn openssl() -> Result<(), Failure> {
    tools::provide(&tools::OPENSSL)
}

/// Node.js and its packages alone.
pub(crate) fn node() -> Result<(), Failure> {
    tools::provide(&tools::NODE)?;
    packages::node()
}

//! Who may use a route, as configured.
//!
//! Runs at start, at reload, or on a timer.

use ipnet::IpNet;

use super::origins::Origins;

/// Who may use a route. By default everybody may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The networks of clients that are refused.
    pub(crate) deny: Vec<IpNet>,
    /// If there are any, clients of all other networks are refused.
    pub(crate) allow: Vec<IpNet>,
    /// The pages that may use it. `None`: all, with a warning where that looks wrong.
    pub(crate) origins: Option<Origins>,
}

impl Settings {
    /// Whether everybody may, so that nothing has to be checked.
    pub(crate) fn is_open(&self) -> bool {
        *self == Self::default()
    }
}

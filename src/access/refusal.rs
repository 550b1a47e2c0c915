//! Why a client may not use a route.
//!
//! Pure. Runs for every request.

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The client's network is in `deny`, or not in `allow`.
    #[error("this address may not use the route")]
    Address,
    /// The page's origin is not among `origins`.
    #[error("pages of this origin may not use the route")]
    Origin,
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Refusal {
        /// The next kind after this one; the first is [`Refusal::Address`].
        pub(crate) fn next(&self) -> Option<Self> {
            match self {
                Self::Address => Some(Self::Origin),
                Self::Origin => None,
            }
        }
    }
}

//! Whether the process wants new clients.
//!
//! Runs at start, at reload, or on a timer.

use tokio::sync::watch;

/// Whether the process wants new clients. Clones share it.
#[derive(Clone, Debug)]
pub struct Readiness(watch::Sender<Stage>);

/// The life of the process as balancers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It does not serve yet.
    Starting,
    /// It serves.
    Ready,
    /// It serves those who are there; new clients should go elsewhere.
    Stopping,
}

impl Readiness {
    /// What it is now.
    pub fn stage(&self) -> Stage {
        *self.0.borrow()
    }

    /// Whether new clients should come.
    pub fn is_ready(&self) -> bool {
        self.stage() == Stage::Ready
    }

    /// From now on it is this.
    pub fn set(&self, stage: Stage) {
        self.0.send_replace(stage);
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self(watch::Sender::new(Stage::Starting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_is_shared() {
        let readiness = Readiness::default();
        let seen = readiness.clone();
        assert!(!seen.is_ready());
        readiness.set(Stage::Ready);
        assert!(seen.is_ready());
        readiness.set(Stage::Stopping);
        assert_eq!(seen.stage(), Stage::Stopping);
    }
}

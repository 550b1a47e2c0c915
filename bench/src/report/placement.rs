//! Which cores are whose, and whether the load side had enough of them. Pure.

use serde::{Deserialize, Serialize};

use crate::Outcome;
use crate::load::Measurement;

/// The cores of the proxy, and those of load and nodes; the same ones if nothing is pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Placement {
    pub(crate) proxy: Vec<usize>,
    pub(crate) load: Vec<usize>,
}

impl Placement {
    /// Divides `cores`: `pinned` for the proxy, the others for the rest.
    pub(crate) fn new(cores: &[usize], pinned: Option<usize>) -> Outcome<Self> {
        let Some(pinned) = pinned else {
            return Ok(Self { proxy: cores.to_vec(), load: cores.to_vec() });
        };
        let load: Vec<usize> = cores.iter().copied().filter(|core| *core != pinned).collect();
        if load.is_empty() || load.len() == cores.len() {
            return Err(format!("core {pinned} is not one of several: {cores:?}").into());
        }
        Ok(Self { proxy: vec![pinned], load })
    }

    /// Whether the proxy has its cores for itself.
    pub(crate) fn is_pinned(&self) -> bool {
        self.proxy != self.load
    }

    /// Whether load and nodes were the bottleneck: they used nearly all that the proxy left them,
    /// and so the rate says nothing of the proxy.
    pub(crate) fn is_load_bound(&self, measurement: &Measurement) -> bool {
        let proxy = measurement.proxy.map_or(0.0, |proxy| proxy.seconds);
        let left = match self.is_pinned() {
            true => self.load.len() as f64 * measurement.seconds,
            false => self.load.len() as f64 * measurement.seconds - proxy,
        };
        measurement.nodes.seconds + measurement.load.seconds > left * BUSY
    }
}

/// More than this part of its cores is all of them: the kernel's own work is not accounted.
const BUSY: f64 = 0.9;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::run::tests::measurement;

    #[test]
    fn a_pinned_proxy_has_its_core_for_itself() {
        let shared = Placement::new(&[0, 1], None).unwrap();
        assert!(!shared.is_pinned());
        let pinned = Placement::new(&[0, 1, 2], Some(1)).unwrap();
        assert_eq!(pinned, Placement { proxy: vec![1], load: vec![0, 2] });
        assert!(Placement::new(&[0], Some(0)).is_err());
        assert!(Placement::new(&[0, 1], Some(2)).is_err());
    }

    #[test]
    fn the_load_side_is_the_bottleneck_when_its_cores_are_used_up() {
        let check = |pinned: Option<usize>, [proxy, nodes, load]: [f64; 3], expected: bool| {
            let placement = Placement::new(&[0, 1], pinned).unwrap();
            let mut measurement = measurement(proxy);
            measurement.seconds = 1.0;
            measurement.nodes.seconds = nodes;
            measurement.load.seconds = load;
            assert_eq!(placement.is_load_bound(&measurement), expected);
        };
        check(Some(0), [0.5, 0.4, 0.55], true);
        check(Some(0), [1.0, 0.4, 0.4], false);
        check(None, [0.5, 0.7, 0.7], true);
        check(None, [0.5, 0.4, 0.55], false);
    }
}

//! Which node has the session, as far as it is known now.
//!
//! Runs for every request.

use std::sync::Arc;

use super::context::Shared;
use super::error::ExchangeError;
use crate::Instant;
use crate::affinity::{Placement, RequestView};
use crate::route::UpstreamRoute;

/// Where a request of `route` belongs, and the route that knows it: possibly a newer one, or the
/// route as it was when the session began.
///
/// A session whose node is not known may be on a node that is new in DNS and that another proxy has
/// already used. So DNS is asked before the client is told that its session is gone. While DNS has
/// not answered at all, no node is known and nothing is said about the session.
///
/// # Errors
///
/// [`ExchangeError::NoNode`]: the nodes are not known yet.
pub(super) async fn locate(
    shared: &Shared,
    route: &Arc<UpstreamRoute>,
    view: &RequestView<'_>,
) -> Result<(Arc<UpstreamRoute>, Placement), ExchangeError> {
    let now = Instant::now();
    let placement = route.affinity.locate(view, now);
    if let Some((earlier, placement)) = by_earlier_rule(route, &placement, view, now) {
        return Ok((earlier.clone(), placement));
    }
    let (Placement::Gone { .. }, Some(discovery)) = (&placement, route.upstream.discovery()) else {
        return Ok((route.clone(), placement));
    };
    discovery.refresh(Instant::now()).await;
    if !discovery.has_answered() {
        return Err(ExchangeError::NoNode);
    }
    let snapshot = shared.current.load();
    let Some(renewed) = snapshot.routes.same(route) else { return Ok((route.clone(), placement)) };
    let placement = renewed.affinity.locate(view, Instant::now());
    Ok((renewed.clone(), placement))
}

/// Where a request of `route` belongs by what is known without asking DNS, and the route that knows it.
/// The request is not counted.
pub(super) fn known_now<'a>(
    route: &'a Arc<UpstreamRoute>,
    view: &RequestView<'_>,
    now: Instant,
) -> (&'a Arc<UpstreamRoute>, Placement) {
    let placement = route.affinity.find(view, now);
    by_earlier_rule(route, &placement, view, now).unwrap_or((route, placement))
}

/// Where a session belongs that was opened before a reload gave `route` another upstream or
/// affinity. The current rule, which gave `placement`, does not know it.
fn by_earlier_rule<'a>(
    route: &'a UpstreamRoute,
    placement: &Placement,
    view: &RequestView<'_>,
    now: Instant,
) -> Option<(&'a Arc<UpstreamRoute>, Placement)> {
    if route.affinity.is_sure_of(placement) {
        return None;
    }
    let known = |earlier: &'a Arc<UpstreamRoute>| {
        let placement = earlier.affinity.locate_earlier(view, now)?;
        Some((earlier, placement))
    };
    let all = || route.earlier.iter().filter_map(known);
    let sure = all().find(|(earlier, placement)| earlier.affinity.is_sure_of(placement));
    sure.or_else(|| match placement {
        Placement::Bound { .. } => None,
        Placement::Anywhere
        | Placement::Preferred(_)
        | Placement::Gone { .. }
        | Placement::Unknown { .. } => all().next(),
    })
}

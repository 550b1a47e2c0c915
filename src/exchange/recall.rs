//! Which node had the session, as far as it is known now.
//!
//! Runs for every request.

use std::sync::Arc;

use super::{ExchangeError, Proxy};
use crate::Instant;
use crate::affinity::{Asked, Recall};
use crate::route::Route;

/// Where a request of `route` belongs, and the route by which that is known: a newer one, perhaps, or
/// as it was when the session began.
///
/// A session whose node is not known may live on one that DNS has named just now, after another
/// proxy sent the session there. So DNS is asked before the client is told that his session is no
/// more; and he is not told while DNS was never heard, for then no node is known at all.
///
/// # Errors
///
/// [`ExchangeError::NoNode`]: it is not known yet which nodes there are.
pub(super) async fn recall(
    proxy: &Proxy,
    route: &Arc<Route>,
    asked: &Asked<'_>,
) -> Result<(Arc<Route>, Recall), ExchangeError> {
    let now = Instant::now();
    let recall = route.affinity.recall(asked, now);
    if let Some((earlier, recall)) = by_earlier_rule(route, &recall, asked, now) {
        return Ok((earlier.clone(), recall));
    }
    let (Recall::Gone { .. }, Some(discovery)) = (&recall, route.upstream.discovery()) else {
        return Ok((route.clone(), recall));
    };
    discovery.refresh(Instant::now()).await;
    if !discovery.has_answered() {
        return Err(ExchangeError::NoNode);
    }
    let snapshot = proxy.0.current.load();
    let Some(renewed) = snapshot.routes.same(route) else { return Ok((route.clone(), recall)) };
    let recall = renewed.affinity.recall(asked, Instant::now());
    Ok((renewed.clone(), recall))
}

/// Where a session belongs that was opened before a reload gave `route` another upstream or affinity,
/// so that `recall`, which goes by what is in force, does not know it.
fn by_earlier_rule<'a>(
    route: &'a Route,
    recall: &Recall,
    asked: &Asked<'_>,
    now: Instant,
) -> Option<(&'a Arc<Route>, Recall)> {
    if route.affinity.is_sure_of(recall) {
        return None;
    }
    let known = |earlier: &'a Arc<Route>| {
        let recall = earlier.affinity.recall_earlier(asked, now)?;
        Some((earlier, recall))
    };
    let all = || route.earlier.iter().filter_map(known);
    let sure = all().find(|(earlier, recall)| earlier.affinity.is_sure_of(recall));
    sure.or_else(|| match recall {
        Recall::Bound { .. } => None,
        Recall::Anywhere | Recall::Preferred(_) | Recall::Gone { .. } | Recall::Unknown { .. } => {
            all().next()
        }
    })
}

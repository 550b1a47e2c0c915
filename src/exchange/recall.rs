//! Which node had the session, as far as it is known now.
//!
//! Runs for every request.

use std::sync::Arc;

use super::{ExchangeError, Proxy};
use crate::Instant;
use crate::affinity::{Asked, Recall};
use crate::route::Route;

/// Where a request of `route` belongs, and the route by which that is known: a newer one, perhaps.
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
    let recall = route.affinity.recall(asked, Instant::now());
    let (Recall::Gone { .. }, Some(discovery)) = (&recall, route.upstream.discovery()) else {
        return Ok((route.clone(), recall));
    };
    discovery.refresh(Instant::now()).await;
    if !discovery.has_answered() {
        return Err(ExchangeError::NoNode);
    }
    let snapshot = proxy.current.load();
    let Some(renewed) = snapshot.routes.same(route) else { return Ok((route.clone(), recall)) };
    let recall = renewed.affinity.recall(asked, Instant::now());
    Ok((renewed.clone(), recall))
}

//! What is changed on the way to a node and back.
//!
//! Pure. Runs at start, at reload, or on a timer.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::model::{Changes, Preview};
use super::{Case, Purpose};
use crate::access::Grant;
use crate::affinity::Placement;
use crate::exchange::node_fields::{NodeFields, Sender};
use crate::exchange::response_fields::variables;
use crate::exchange::target;
use crate::route::Policy;
use crate::yaml::is_secret_field;

impl Case<'_> {
    /// Shows what `route` changes.
    pub(super) fn show_changes(
        &self,
        route: &Policy,
        placement: &Placement,
        (host, purpose): (&str, Purpose),
        shown: &mut Preview,
    ) {
        let (uri, headers) = (self.request.uri(), self.request.headers());
        let untagged = match placement {
            Placement::Bound { sid, .. } => sid.as_ref(),
            Placement::Anywhere
            | Placement::Preferred(_)
            | Placement::Gone { .. }
            | Placement::Unknown { .. } => None,
        };
        let for_node = target::for_node(uri, untagged, route.rewrite.as_deref());
        let asked = target::for_node(uri, None, None);
        let (grant, id) = (Grant::default(), HeaderValue::from_static(REQUEST_ID));
        let (client, address) = (self.client, self.address);
        let sender = Sender { route, client, address, purpose, grant: &grant };
        let fields = NodeFields::new(sender, (uri, headers), None, (host, &id));
        let (set, removed) = differences(headers, fields.iter());
        shown.changes = Changes {
            target: (for_node != asked).then(|| for_node.into_owned()),
            set,
            removed,
            ..Changes::default()
        };
        let Some(changes) = &route.changes else { return };
        let known = variables(route, (uri, headers), client, (address, host, &id));
        let values = changes.response.values(&known);
        let field = |(name, value): (&HeaderName, &HeaderValue)| written(name, value.as_bytes());
        shown.changes.response_set = values.iter().map(field).collect();
        let removed = changes.response.removed().iter();
        shown.changes.response_removed = removed.map(ToString::to_string).collect();
        shown.changes.cors =
            changes.cors.as_ref().map(|cors| match cors.allowed_origin(headers, known.host) {
                Some(origin) => {
                    format!("pages of {} may read the response", text(origin.as_bytes()))
                }
                None => "no page of another origin may read the response".to_owned(),
            });
    }
}

/// The fields of the node that the client's request does not have so, and the names of those that the
/// node does not get.
fn differences<'f>(
    of_client: &HeaderMap,
    for_node: impl Iterator<Item = (&'f HeaderName, &'f [u8])>,
) -> (Vec<[String; 2]>, Vec<String>) {
    let for_node: Vec<(&HeaderName, &[u8])> = for_node.collect();
    let is_same = |name: &HeaderName, value: &[u8]| {
        of_client.get_all(name).iter().any(|known| known.as_bytes() == value)
    };
    let set = for_node.iter().filter(|(name, value)| !is_same(name, value));
    let set = set.map(|(name, value)| written(name, value)).collect();
    let is_gone = |name: &&HeaderName| for_node.iter().all(|(known, _)| known != name);
    let removed = of_client.keys().filter(is_gone).map(ToString::to_string).collect();
    (set, removed)
}

/// A field as it is shown. Values that may be secrets are not.
fn written(name: &HeaderName, value: &[u8]) -> [String; 2] {
    let is_hidden = is_secret_field(name.as_str());
    let value = if is_hidden { "(hidden)".to_owned() } else { text(value) };
    [name.to_string(), value]
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// What stands for the id of a request.
pub(super) const REQUEST_ID: &str = "(a new id)";

//! Which program answers, by what it says of itself: fields, and its page for a request that nobody may
//! send.
//!
//! Pure. Runs at start, at reload, or on a timer.

use serde::{Deserialize, Serialize};

/// A program that answers clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
#[value(rename_all = "kebab-case")]
pub(crate) enum Product {
    /// nginx, OpenResty.
    Nginx,
    /// The ingress controller of Kubernetes on nginx.
    IngressNginx,
    /// HAProxy.
    Haproxy,
    /// The application load balancer of AWS.
    Alb,
    /// Traefik.
    Traefik,
    /// Caddy.
    Caddy,
    /// Cloudflare.
    Cloudflare,
    /// Sockeye.
    Sockeye,
    /// No proxy: the server on Node.js.
    Node,
}

impl Product {
    /// As a person writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::IngressNginx => "ingress-nginx",
            Self::Haproxy => "HAProxy",
            Self::Alb => "AWS ALB",
            Self::Traefik => "Traefik",
            Self::Caddy => "Caddy",
            Self::Cloudflare => "Cloudflare",
            Self::Sockeye => "Sockeye",
            Self::Node => "Node.js",
        }
    }
}

/// What was seen of who answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Signs {
    /// The fields of a response to a handshake, names in lower case.
    pub(super) fields: Vec<(String, String)>,
    /// The session id.
    pub(super) sid: Option<String>,
    /// The whole response to a request that is not valid HTTP.
    pub(super) refusal: String,
}

impl Signs {
    /// The outermost program that shows itself.
    pub(super) fn product(&self) -> Option<Product> {
        let server = self.value("server").unwrap_or_default().to_ascii_lowercase();
        let via = self.value("via").unwrap_or_default().to_ascii_lowercase();
        let refusal = self.refusal.to_ascii_lowercase();
        let has = |prefix: &str| self.fields.iter().any(|(name, _)| name.starts_with(prefix));
        let cookie = self.value("set-cookie").unwrap_or_default();
        if server.contains("cloudflare") || has("cf-ray") {
            return Some(Product::Cloudflare);
        }
        if server.starts_with("awselb")
            || refusal.contains("awselb")
            || cookie.starts_with("AWSALB")
        {
            return Some(Product::Alb);
        }
        if server == "caddy" || via.contains("caddy") {
            return Some(Product::Caddy);
        }
        if cookie.starts_with("INGRESSCOOKIE") {
            return Some(Product::IngressNginx);
        }
        if server.contains("nginx")
            || server.contains("openresty")
            || refusal.contains("<center>nginx")
        {
            return Some(Product::Nginx);
        }
        if refusal.contains("your browser sent an invalid request") {
            return Some(Product::Haproxy);
        }
        if self.is_sockeye(&refusal) {
            return Some(Product::Sockeye);
        }
        // The HTTP library of Go; Caddy has shown itself above.
        if refusal.contains("content-type: text/plain; charset=utf-8")
            && refusal.ends_with("400 bad request")
        {
            return Some(Product::Traefik);
        }
        let bare = refusal.trim_end() == "http/1.1 400 bad request\r\nconnection: close";
        bare.then_some(Product::Node)
    }

    /// The fields that name a program or a network.
    pub(super) fn announced(&self) -> Vec<(String, String)> {
        let tells = |name: &str| ANNOUNCING.contains(&name) || name.starts_with("x-envoy-");
        let told = self.fields.iter().filter(|(name, _)| tells(name));
        told.map(|(name, value)| (name.clone(), value.chars().take(80).collect())).collect()
    }

    /// Its tag is behind the id of the server, and it marks each response with an id.
    fn is_sockeye(&self, refusal: &str) -> bool {
        let tagged = self.sid.as_deref().is_some_and(|sid| sid.get(20..21) == Some("."));
        refusal.contains("x-request-id: ") && (tagged || self.value("x-request-id").is_some())
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// A request that every server refuses by itself, since a name of a field cannot have a space.
pub(super) const INVALID: &str =
    "GET / HTTP/1.1\r\nHost: doctor\r\nno field : x\r\nbad line\r\n\r\n";

const ANNOUNCING: [&str; 9] = [
    "server",
    "via",
    "x-powered-by",
    "cf-ray",
    "x-served-by",
    "x-cache",
    "x-amz-cf-id",
    "alt-svc",
    "x-forwarded-server",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_known_by_what_it_says() {
        let check = |fields: &[(&str, &str)], refusal: &str, expected: Option<Product>| {
            let fields = fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            let signs = Signs { fields, sid: None, refusal: refusal.to_owned() };
            assert_eq!(signs.product(), expected, "{signs:?}");
        };
        check(&[("server", "nginx/1.22.1")], "", Some(Product::Nginx));
        check(&[], "HTTP/1.1 400\r\n\r\n<hr><center>nginx</center>", Some(Product::Nginx));
        check(
            &[("server", "cloudflare"), ("cf-ray", "x")],
            "<center>nginx</center>",
            Some(Product::Cloudflare),
        );
        check(&[("set-cookie", "AWSALB=x")], "", Some(Product::Alb));
        check(&[("via", "1.1 Caddy")], "", Some(Product::Caddy));
        let haproxy =
            "HTTP/1.1 400 Bad request\r\n\r\n<html>\nYour browser sent an invalid request.\n";
        check(&[], haproxy, Some(Product::Haproxy));
        let go = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request";
        check(&[], go, Some(Product::Traefik));
        check(&[], "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", Some(Product::Node));
        check(&[], "", None);
        check(
            &[("x-request-id", "a")],
            "HTTP/1.1 400\r\nx-request-id: b\r\n\r\n",
            Some(Product::Sockeye),
        );
    }
}

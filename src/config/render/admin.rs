//! The admin listener as the file that says all of it. No hash is shown.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::net::SocketAddr;

use super::tls;
use super::upstream::HIDDEN;
use crate::access::{Operators, Role};
use crate::config::AdminSettings;
use crate::config::file::admin::{Admin, AdminAuth, AdminTls};
use crate::config::file::tls::Tls;
use crate::tls::ServerTls;
use crate::yaml::{Chosen, List, RawScalar};

/// `admin:`
pub(super) fn render(settings: Option<&AdminSettings>) -> Admin {
    let tls = settings.and_then(|settings| settings.tls.as_ref());
    let operators = settings.and_then(|settings| settings.auth.as_ref());
    Admin {
        tls: tls.map(|tls| admin_tls(tls)),
        auth: operators.map(|operators| auth(operators)),
        ..at(settings.map(|settings| settings.bind))
    }
}

/// With this address alone.
pub(super) fn at(bind: Option<SocketAddr>) -> Admin {
    let bind = bind.map_or_else(|| RawScalar::new("off"), RawScalar::new);
    Admin { bind: Some(bind), ..Admin::default() }
}

fn admin_tls(settings: &ServerTls) -> AdminTls {
    let Tls { chain, key, client_certificates, .. } = tls::render(settings);
    let chain = match chain {
        Some(Chosen::Is(chain)) => Some(chain),
        Some(Chosen::Empty) | None => None,
    };
    AdminTls { chain, key, client_certificates }
}

fn auth(operators: &Operators) -> AdminAuth {
    let of_role = |role: Role| -> List<String> {
        let keys = operators.keys().iter().filter(|key| key.role() == role);
        let hidden: Vec<_> = keys.map(|key| Some(format!("{}:{HIDDEN}", key.name))).collect();
        Some(hidden)
    };
    AdminAuth {
        read_keys: of_role(Role::Read),
        operate_keys: of_role(Role::Operate),
        metrics_keys: of_role(Role::Metrics),
        open_metrics: Some(operators.has_open_metrics()),
    }
}

//! `admin:`
//!
//! Pure, but for the files of certificates. Runs at start, at reload, or on a timer.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use super::auth::not_empty;
use super::{address, tls};
use crate::access::{OperatorKey, Operators, Role};
use crate::config::AdminSettings;
use crate::config::file::admin::{Admin, AdminAuth};
use crate::config::file::tls::Tls;
use crate::config::named_files::NamedFiles;
use crate::yaml::{Chosen, Diagnostic, KeyPath, RawScalar, Report, units};

/// The admin listener at `path`; `None` if there is none.
pub(super) fn resolve(
    path: &KeyPath,
    written: Option<&Admin>,
    files: &mut NamedFiles,
    report: &mut Report<'_>,
) -> Option<AdminSettings> {
    let written = written?;
    let bind = written.bind.as_ref().map(RawScalar::as_str);
    let bind =
        report.read(&path.key("bind"), bind, None, |text| units::off_or(text, address::bind));
    let at_tls = path.key("tls");
    let tls = written.tls.as_ref().and_then(|written| {
        let chain = written.chain.as_deref();
        let chain = report.require(&at_tls.key("chain"), chain, "chain: admin.pem", not_empty)?;
        let written = Tls {
            chain: Some(Chosen::Is(chain)),
            key: written.key.clone(),
            client_certificates: written.client_certificates.clone(),
            ..Tls::default()
        };
        tls::resolve(&at_tls, (&written, None, vec![b"http/1.1".to_vec()]), files, report)
    });
    let auth = written.auth.as_ref().map(|auth| operators(&path.key("auth"), auth, report));
    Some(AdminSettings { bind: bind?, tls, auth: auth.map(Arc::new) })
}

fn operators(path: &KeyPath, written: &AdminAuth, report: &mut Report<'_>) -> Operators {
    let lists = [
        ("read_keys", &written.read_keys, Role::Read),
        ("operate_keys", &written.operate_keys, Role::Operate),
        ("metrics_keys", &written.metrics_keys, Role::Metrics),
    ];
    let mut keys: Vec<OperatorKey> = Vec::new();
    let names = RefCell::new(HashSet::new());
    for (key, list, role) in lists {
        keys.extend(report.list(&path.key(key), list, |line| {
            let key = OperatorKey::parse(line, role)
                .map_err(|what| Diagnostic::new(format!("is not a key: {what}")).help(KEY_HELP))?;
            match names.borrow_mut().insert(key.name.clone()) {
                true => Ok(key),
                false => Err(Diagnostic::new("is the same as another name")
                    .help("write each name in one of the lists only")),
            }
        }));
    }
    Operators::new(keys, written.open_metrics.unwrap_or(false))
}

const KEY_HELP: &str = "write NAME:sha256$ and the SHA-256 of a random key, or what `htpasswd -nB NAME` \
    prints, in single quotes";

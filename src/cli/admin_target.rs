//! Which admin listener a command speaks to, and how it says who it is.
//!
//! Runs at start, at reload, or on a timer.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use crate::admin::client::{AdminTarget, Key};
use crate::config::{self, AdminSettings};
use crate::tls::{NodeTls, NodeTlsSettings, ServerTls, Verify, read_file};
use crate::yaml::source;

/// The admin listener.
#[derive(Clone, Debug, Args)]
pub(super) struct AdminArguments {
    /// The admin listener; by default that of the configuration file, else 127.0.0.1:9090
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    #[command(flatten)]
    key: KeyArguments,
    /// Speak TLS, and accept a certificate for the address that this authority has signed; with a
    /// configuration file that has admin.tls, its own certificate is accepted
    #[arg(long, value_name = "FILE")]
    admin_ca: Option<PathBuf>,
    /// The configuration file that names the admin listener, - for standard input; by default
    /// sockeye.yaml, if there is one
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What says who we are.
#[derive(Clone, Debug, Args)]
pub(super) struct KeyArguments {
    /// A file with the key for the admin listener, or with NAME:PASSWORD; by default the environment
    /// variable SOCKEYE_ADMIN_KEY
    #[arg(long, value_name = "FILE")]
    admin_key_file: Option<PathBuf>,
}

impl KeyArguments {
    /// The key, if one is given.
    pub(super) fn read(&self) -> Result<Option<Key>, Box<dyn Error>> {
        let (text, name) = match &self.admin_key_file {
            Some(file) => {
                let text = std::fs::read_to_string(file);
                let text = text.map_err(|error| format!("{}: {error}", file.display()))?;
                (text, file.display().to_string())
            }
            None => match std::env::var(KEY_VARIABLE) {
                Ok(text) => (text, KEY_VARIABLE.to_owned()),
                Err(_) => return Ok(None),
            },
        };
        let key = Key::parse(&text).ok_or_else(|| format!("{name} has no key on its only line"))?;
        Ok(Some(key))
    }
}

impl AdminArguments {
    /// The listener, and what it is shown.
    pub(super) fn target(&self) -> Result<AdminTarget, Box<dyn Error>> {
        let key = self.key.read()?;
        let settings = self.settings()?;
        let tls = match (&self.admin_ca, &settings.tls) {
            (Some(file), _) => Some(signed_by(file)?),
            (None, Some(own)) => Some(own_certificates(own)?),
            (None, None) => None,
        };
        Ok(AdminTarget { address: settings.bind, tls, key })
    }

    fn settings(&self) -> Result<AdminSettings, Box<dyn Error>> {
        let default = Path::new(CONFIG_DEFAULT);
        let file = match (self.admin, &self.config) {
            (Some(address), None) => return Ok(AdminSettings::new(address)),
            (_, Some(file)) => file,
            (None, None) if default.exists() => default,
            (None, None) => return Ok(AdminSettings::new(ADMIN_DEFAULT)),
        };
        let settings = config::load(file)?.admin;
        match (settings, self.admin) {
            (Some(settings), Some(bind)) => Ok(AdminSettings { bind, ..settings }),
            (Some(settings), None) => Ok(settings),
            (None, Some(address)) => Ok(AdminSettings::new(address)),
            (None, None) => {
                let file = source::name_of(file);
                let what = "it has no admin listener: write admin: { bind: 127.0.0.1:9090 }";
                Err(format!("{file}: {what}, and restart").into())
            }
        }
    }
}

fn signed_by(file: &Path) -> Result<Arc<NodeTls>, Box<dyn Error>> {
    let verify = Verify::Authorities(Some(file.to_owned()));
    let settings = NodeTlsSettings { verify, ..NodeTlsSettings::default() };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let none = || Err(std::io::ErrorKind::NotFound.into());
    let loaded = NodeTls::load(settings, &read_file, none, i64::try_from(now).unwrap_or(i64::MAX));
    match loaded {
        Ok(loaded) => Ok(Arc::new(loaded.tls)),
        Err(faults) => {
            let fault = faults.first().map(|(_, fault)| fault.to_string());
            Err(format!("{}: {}", file.display(), fault.unwrap_or_default()).into())
        }
    }
}

/// TLS to the process that has the same file.
fn own_certificates(own: &ServerTls) -> Result<Arc<NodeTls>, Box<dyn Error>> {
    let shown = own.certificates().iter().map(|(_, certificate)| certificate.fingerprint());
    let verify = Verify::Fingerprints(shown.collect());
    let settings = NodeTlsSettings { verify, ..NodeTlsSettings::default() };
    let tls = NodeTls::unread(settings).ok_or("admin.tls cannot be used by a client")?;
    Ok(Arc::new(tls))
}

/// The configuration file if none is given.
const CONFIG_DEFAULT: &str = "sockeye.yaml";

/// The address of the admin listener if nothing names it.
const ADMIN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

const KEY_VARIABLE: &str = "SOCKEYE_ADMIN_KEY";

//! A proxy that follows a file which the test writes: in this process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sockeye::Readiness;
use sockeye::Server;
use sockeye::internal::config::{Changes, load_with_outline};
use sockeye::{ReloadError, Reloader};
use tokio::sync::oneshot;

/// A proxy in this process that follows its file. Dropping it stops it.
pub struct Site {
    /// Of each listener that it began with.
    pub addresses: Vec<SocketAddr>,
    /// Of the admin listener, if the configuration has one.
    pub admin: Option<SocketAddr>,
    pub reloader: Reloader,
    pub readiness: Readiness,
    file: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    ended: oneshot::Receiver<()>,
    _directory: tempfile::TempDir,
}

impl Site {
    /// A proxy with this configuration, in a directory of its own.
    pub fn start(yaml: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sockeye.yaml");
        std::fs::write(&file, yaml).unwrap();
        Self::follow(directory, file)
    }

    /// A proxy that follows `file`, somewhere in `directory`.
    pub fn follow(directory: tempfile::TempDir, file: PathBuf) -> Self {
        let (config, outline) = load_with_outline(&file).unwrap();
        let mut server = Server::bind(&config).unwrap();
        let reloader = server.follow(file.clone(), outline);
        let readiness = server.readiness();
        let addresses = server.addresses().collect();
        let admin = server.admin_address();
        let (stop, stopped) = oneshot::channel::<()>();
        let (alive, ended) = oneshot::channel();
        std::thread::spawn(move || {
            let _alive: oneshot::Sender<()> = alive;
            let until = async {
                let _ = stopped.await;
            };
            server.run(until).unwrap();
        });
        let stop = Some(stop);
        Self { addresses, admin, reloader, readiness, file, stop, ended, _directory: directory }
    }

    /// The first listener's address.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The directory of the test's own.
    pub fn directory(&self) -> &Path {
        self._directory.path()
    }

    /// Writes the file as an orderly program does, and waits for what comes of it.
    pub async fn reload(&self, yaml: &str) -> Result<Changes, Arc<ReloadError>> {
        self.write(yaml);
        self.reloader.reload().await
    }

    /// Writes the file as an orderly program does.
    pub fn write(&self, yaml: &str) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, yaml).unwrap();
        std::fs::rename(&new, &self.file).unwrap();
    }

    /// Begins the stop.
    pub fn begin_stop(&mut self) {
        self.stop = None;
    }

    /// Waits for the end.
    pub async fn ended(self) {
        let _ = self.ended.await;
    }
}

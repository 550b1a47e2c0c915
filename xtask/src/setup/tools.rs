//! The programs that tests need from the system. A test that needs another one adds a row to
//! [`TOOLS`].

use std::path::Path;
use std::process::{Command, Stdio};

use crate::command::{Failure, output, run, succeeds};

/// A program, how to see that it is there, and what the package managers call it.
pub(super) struct Tool {
    name: &'static str,
    is_there: fn() -> bool,
    /// Packages by the name of the installer's program; none where the installer does not have it.
    packages: &'static [(&'static str, &'static [&'static str])],
}

/// What the system must have.
pub(super) const TOOLS: &[Tool] = &[
    NODE,
    Tool {
        name: "Python 3.10 or newer, with venv",
        is_there: python_is_there,
        packages: &[
            ("apt-get", &["python3", "python3-venv"]),
            ("dnf", &["python3"]),
            ("apk", &["python3"]),
            ("pacman", &["python"]),
            ("brew", &["python"]),
        ],
    },
    Tool {
        name: "Redis or Valkey",
        is_there: redis_is_there,
        packages: &[
            ("apt-get", &["redis-server"]),
            ("dnf", &["valkey"]),
            ("apk", &["redis"]),
            ("pacman", &["valkey"]),
            ("brew", &["redis"]),
        ],
    },
    Tool {
        name: "HAProxy",
        is_there: haproxy_is_there,
        packages: &[
            ("apt-get", &["haproxy"]),
            ("dnf", &["haproxy"]),
            ("apk", &["haproxy"]),
            ("pacman", &["haproxy"]),
            ("brew", &["haproxy"]),
        ],
    },
    Tool {
        name: "nginx, with its stream module",
        is_there: nginx_is_there,
        packages: &[
            ("apt-get", &["nginx", "libnginx-mod-stream"]),
            ("dnf", &["nginx", "nginx-mod-stream"]),
            ("apk", &["nginx", "nginx-mod-stream"]),
            ("pacman", &["nginx"]),
            ("brew", &["nginx"]),
        ],
    },
    OPENSSL,
    Tool {
        name: "Chromium, on the PATH as chromium, chromium-browser or google-chrome",
        is_there: chromium_is_there,
        packages: &[
            ("apt-get", &["chromium"]),
            ("dnf", &["chromium"]),
            ("apk", &["chromium"]),
            ("pacman", &["chromium"]),
            // Homebrew installs no program that macOS does not find signed, and builds of Chromium
            // are not.
            ("brew", &[]),
        ],
    },
];

/// What `cargo xtask edge` needs besides.
pub(super) const EDGE_TOOLS: &[Tool] = &[
    Tool {
        name: "pebble, the ACME server of Let's Encrypt for tests (https://github.com/letsencrypt/pebble)",
        is_there: pebble_is_there,
        packages: &[
            ("apt-get", &["pebble"]),
            ("dnf", &[]),
            ("apk", &[]),
            ("pacman", &[]),
            ("brew", &[]),
        ],
    },
    Tool {
        name: "Firefox, on the PATH as firefox or firefox-esr",
        is_there: firefox_is_there,
        packages: &[
            ("apt-get", &["firefox-esr"]),
            ("dnf", &["firefox"]),
            ("apk", &["firefox-esr"]),
            ("pacman", &["firefox"]),
            // It comes as an application, which is not on the PATH.
            ("brew", &[]),
        ],
    },
];

/// Runs the servers and most clients.
pub(super) const NODE: Tool = Tool {
    name: "Node.js 18 or newer, with npm",
    is_there: node_is_there,
    packages: &[
        ("apt-get", &["nodejs", "npm"]),
        ("dnf", &["nodejs", "npm"]),
        ("apk", &["nodejs", "npm"]),
        ("pacman", &["nodejs", "npm"]),
        ("brew", &["node"]),
    ],
};

/// Looks at TLS, and makes certificates.
pub(super) const OPENSSL: Tool = Tool {
    name: "OpenSSL 3, on the PATH as openssl",
    is_there: openssl_is_there,
    packages: &[
        ("apt-get", &["openssl"]),
        ("dnf", &["openssl"]),
        ("apk", &["openssl"]),
        ("pacman", &["openssl"]),
        // It is not put on the PATH, where macOS has LibreSSL.
        ("brew", &[]),
    ],
};

/// Installs `tool` if it is missing and the system lets us.
pub(super) fn provide(tool: &Tool) -> Result<(), Failure> {
    if (tool.is_there)() {
        return Ok(());
    }
    let Some((installer, packages)) = offer(tool) else {
        return Err(Failure(format!(
            "{} is missing: please install it, then try again",
            tool.name
        )));
    };
    let by_hand =
        format!("{} {} {}", installer.program, installer.install.join(" "), packages.join(" "));
    let Some(rights) = rights(installer) else {
        return Err(Failure(format!(
            "{} is missing, and installing needs root:\n  {by_hand}",
            tool.name
        )));
    };
    if let Some(refresh) = installer.refresh {
        run(rights.command(installer).arg(refresh))?;
    }
    run(rights.command(installer).args(installer.install).args(packages))?;
    if (tool.is_there)() {
        return Ok(());
    }
    Err(Failure(format!("{} is still missing after\n  {by_hand}", tool.name)))
}

/// A package installer and how it installs without questions.
struct Installer {
    program: &'static str,
    /// Renews the list of packages: an image of a container often has none.
    refresh: Option<&'static str>,
    install: &'static [&'static str],
}

const INSTALLERS: &[Installer] = &[
    Installer {
        program: "apt-get",
        refresh: Some("update"),
        install: &["install", "--yes", "--no-install-recommends"],
    },
    Installer { program: "dnf", refresh: None, install: &["install", "--assumeyes"] },
    Installer { program: "apk", refresh: None, install: &["add", "--no-cache"] },
    Installer { program: "pacman", refresh: None, install: &["-S", "--noconfirm", "--needed"] },
    Installer { program: "brew", refresh: None, install: &["install"] },
];

/// The first installer of this system that has `tool`, and its packages there.
fn offer(tool: &Tool) -> Option<(&'static Installer, &'static [&'static str])> {
    INSTALLERS
        .iter()
        .filter(|installer| succeeds(Command::new(installer.program).arg("--version")))
        .find_map(|installer| {
            let (_, packages) =
                tool.packages.iter().find(|(name, _)| *name == installer.program)?;
            (!packages.is_empty()).then_some((installer, *packages))
        })
}

/// How we may change the system without asking anybody.
enum Rights {
    /// As we are.
    Own,
    /// By sudo without a password.
    Sudo,
}

impl Rights {
    fn command(&self, installer: &Installer) -> Command {
        let mut command = match self {
            Self::Own => Command::new(installer.program),
            Self::Sudo => {
                let mut sudo = Command::new("sudo");
                sudo.args([
                    "--non-interactive",
                    "DEBIAN_FRONTEND=noninteractive",
                    installer.program,
                ]);
                sudo
            }
        };
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    }
}

fn rights(installer: &Installer) -> Option<Rights> {
    let is_root = output(Command::new("id").arg("-u")).is_some_and(|id| id.trim() == "0");
    // Homebrew belongs to the user, and refuses root by itself.
    if is_root || installer.program == "brew" {
        return Some(Rights::Own);
    }
    succeeds(Command::new("sudo").args(["--non-interactive", "true"])).then_some(Rights::Sudo)
}

fn node_is_there() -> bool {
    let version = output(Command::new("node").arg("--version"));
    version.as_deref().and_then(major).is_some_and(|major| major >= NODE_MAJOR_MIN)
        && succeeds(Command::new("npm").arg("--version"))
}

fn python_is_there() -> bool {
    const SCRIPT: &str = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))";
    succeeds(Command::new("python3").args(["-c", SCRIPT]))
}

fn redis_is_there() -> bool {
    ["redis-server", "valkey-server"]
        .iter()
        .any(|program| succeeds(Command::new(program).arg("--version")))
}

fn haproxy_is_there() -> bool {
    ["haproxy", "/usr/sbin/haproxy"].iter().any(|program| succeeds(Command::new(program).arg("-v")))
}

/// The module is a part of the program, or a file next to it.
fn nginx_is_there() -> bool {
    let has_module = Path::new("/usr/lib/nginx/modules/ngx_stream_module.so").exists();
    ["nginx", "/usr/sbin/nginx"].iter().any(|program| {
        let output = Command::new(program).arg("-V").output();
        output.is_ok_and(|output| {
            let configured = String::from_utf8_lossy(&output.stderr);
            has_module || configured.split(' ').any(|option| option == "--with-stream")
        })
    })
}

fn openssl_is_there() -> bool {
    let version = output(Command::new("openssl").arg("version"));
    version.is_some_and(|version| version.starts_with("OpenSSL 3"))
}

fn chromium_is_there() -> bool {
    ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .any(|program| succeeds(Command::new(program).arg("--version")))
}

fn firefox_is_there() -> bool {
    ["firefox", "firefox-esr"]
        .iter()
        .any(|program| succeeds(Command::new(program).arg("--version")))
}

fn pebble_is_there() -> bool {
    // It has no argument that it answers with success.
    Command::new("pebble").arg("-help").stdin(Stdio::null()).output().is_ok()
}

/// 20 of `v20.11.1`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// The oldest that the packages of `tests/node` run on.
const NODE_MAJOR_MIN: u32 = 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_of_node_is_found() {
        fn check(version: &str, expected: Option<u32>) {
            assert_eq!(major(version), expected, "{version}");
        }
        check("v20.11.1\n", Some(20));
        check("v8.0.0", Some(8));
        check("20.11.1", None);
        check("v", None);
        check("", None);
    }

    #[test]
    fn each_installer_is_asked_about_each_tool() {
        for tool in TOOLS.iter().chain(EDGE_TOOLS) {
            let offered: Vec<&str> = tool.packages.iter().map(|(program, _)| *program).collect();
            let managers: Vec<&str> =
                INSTALLERS.iter().map(|installer| installer.program).collect();
            assert_eq!(offered, managers, "{}", tool.name);
        }
    }
}

//! Real nginx with the file of a case.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::side::Side;
use super::table::{Case, Inside};

/// A running nginx; killed when dropped.
pub(super) struct Nginx {
    _child: Child,
}

impl Nginx {
    /// Starts nginx with the file of the case in `side`, or gives what it says against it.
    pub(super) async fn start(case: &Case, side: &Side) -> Result<Self, String> {
        let directory = side.directory.path();
        let file = directory.join(&case.file);
        let mut text = std::fs::read_to_string(&file).unwrap();
        for (from, to) in &case.repairs {
            text = text.replace(from, to);
        }
        let main = directory.join("main-of-test.conf");
        std::fs::write(&main, around(case, side, &text)).unwrap();
        let mut child = Command::new("nginx")
            .arg("-p")
            .arg(directory)
            .arg("-c")
            .arg(&main)
            .args(["-e", "stderr", "-g", "daemon off; master_process off;"])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("nginx is installed");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let start = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                // What it says once it listens.
                if line.contains("getrlimit(RLIMIT_NOFILE)") {
                    return true;
                }
                said.push_str(&line);
                said.push('\n');
            }
            false
        };
        let is_started = tokio::time::timeout(Duration::from_secs(20), start)
            .await
            .expect("nginx starts in time");
        if !is_started {
            return Err(said);
        }
        // Its log must not fill the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { _child: child })
    }
}

/// `text`, the file of the case, with what nginx needs around it.
fn around(case: &Case, side: &Side, text: &str) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {}/{name};\n", side.directory.path().display()))
        .collect();
    let main =
        format!("pid {}/nginx.pid;\nerror_log stderr notice;\n", side.directory.path().display());
    if case.inside == Inside::Nothing {
        let dropped = [
            "user ",
            "pid ",
            "error_log ",
            "daemon ",
            "worker_processes ",
            "include /etc/nginx/modules",
        ];
        let lines =
            text.lines().map(|line| match dropped.iter().any(|word| line.starts_with(word)) {
                true => "",
                false => line,
            });
        let text = lines.collect::<Vec<_>>().join("\n");
        let text = text.replacen("http {", &format!("http {{\n{temporary}"), 1);
        return format!("{main}worker_processes 1;\n{text}\n");
    }
    let port = side.ports.first().map_or(0, |(_, free)| *free);
    let inner = match case.inside {
        Inside::Nothing | Inside::Http => text.to_owned(),
        Inside::Server => format!("server {{ listen 127.0.0.1:{port}; {text} }}"),
        Inside::Location => {
            format!("server {{ listen 127.0.0.1:{port}; location / {{ {text} }} }}")
        }
    };
    format!(
        "{main}worker_processes 1;\nevents {{}}\nhttp {{\n{temporary}include /etc/nginx/mime.types;\naccess_log off;\n{inner}\n}}\n"
    )
}

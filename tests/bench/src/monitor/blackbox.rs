//! Debian's blackbox_exporter, asked as Prometheus asks it: by the clock, over connections that
//! are kept.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::debian;
use crate::http::{self, Connection};
use crate::ingest::CLIENT_CORE;
use crate::process::{self, Running};
use crate::targets::Targets;

/// The module that its own examples call `http_2xx`.
const CONFIG: &str = "modules:\n  http_2xx:\n    prober: http\n    timeout: 5s\n";
const CONNECTIONS: usize = 8;

#[derive(Debug)]
pub(super) struct Blackbox {
    pub(super) process: Running,
    address: String,
    _folder: TempDir,
}

impl Blackbox {
    pub(super) fn start(core: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let config = folder.path().join("blackbox.yml");
        fs::write(&config, CONFIG).context("cannot write blackbox's configuration")?;
        // It does not say which port it got, so it is given one that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut command = Command::new(debian::program("prometheus-blackbox-exporter")?);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--web.listen-address={address}")).arg("--log.level=error");
        let process = Running::start(&mut process::pinned(core, &command))?;
        http::await_answer(&address, "/-/healthy")?;
        Ok(Self { process, address, _folder: folder })
    }

    /// Has each of the targets probed in turn, so many per second.
    pub(super) fn probe(
        &self,
        targets: &Targets,
        count: usize,
        per_second: f64,
        time: Duration,
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        let prober = |number: usize| {
            process::pin_thread(CLIENT_CORE)?;
            let mut connection = Connection::open(&self.address)?;
            for place in (number..).step_by(CONNECTIONS) {
                let due = Duration::from_secs_f64(place as f64 / per_second);
                if due >= time {
                    break;
                }
                thread::sleep((start + due).saturating_duration_since(Instant::now()));
                let target = format!("http://{}/baseline/{}", targets.address, place % count);
                let request = format!(
                    "GET /probe?module=http_2xx&target={target} HTTP/1.1\r\nHost: {}\r\n\r\n",
                    self.address
                );
                let reply = connection.exchange(request.as_bytes())?;
                let good = String::from_utf8_lossy(&reply).contains("\nprobe_success 1\n");
                ensure!(good, "blackbox could not probe {target}");
            }
            anyhow::Ok(())
        };
        thread::scope(|scope| {
            let probers: Vec<_> =
                (0..CONNECTIONS).map(|n| scope.spawn(move || prober(n))).collect();
            for prober in probers {
                prober.join().expect("a prober does not panic")?;
            }
            thread::sleep((start + time).saturating_duration_since(Instant::now()));
            Ok(())
        })
    }
}

//! What the monitor is pointed at: one small server in this process that is any number of targets,
//! counts what it is asked, and fails when it is told to.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use actix_web::dev::ServerHandle;
use actix_web::web::{self, Bytes, Data, Path};
use actix_web::{App, HttpResponse, HttpServer, rt};
use anyhow::Context;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::process;

/// How many tools each MCP target lists.
pub(crate) const TOOLS: usize = 10;

/// The running server; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Targets {
    /// Host and port.
    pub(crate) address: String,
    state: Arc<State>,
    server: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    /// Requests below `/monitor` and `/baseline`, and listings of tools.
    monitor: AtomicU64,
    baseline: AtomicU64,
    listings: AtomicU64,
    failing: Vec<AtomicBool>,
}

impl Targets {
    /// Serves `count` targets on one core: `/monitor/<n>` and `/baseline/<n>`, and `/mcp/<n>` as
    /// MCP servers.
    pub(crate) fn start(count: usize, core: usize) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
        let address = listener.local_addr()?.to_string();
        let state = Arc::new(State {
            monitor: AtomicU64::new(0),
            baseline: AtomicU64::new(0),
            listings: AtomicU64::new(0),
            failing: (0..count).map(|_| AtomicBool::new(false)).collect(),
        });
        let shared = Data::from(state.clone());
        let (say, started) = mpsc::channel();
        let thread = thread::spawn(move || {
            let serve = || {
                process::pin_thread(core)?;
                let app = move || {
                    App::new()
                        .app_data(shared.clone())
                        .route("/monitor/{target}", web::get().to(monitor))
                        .route("/baseline/{target}", web::get().to(baseline))
                        .route("/mcp/{target}", web::post().to(mcp))
                };
                let server = HttpServer::new(app).workers(1).disable_signals();
                // A monitor of many targets comes with all of them at once.
                anyhow::Ok(server.backlog(4096).listen(listener)?.run())
            };
            rt::System::new().block_on(async {
                match serve() {
                    Ok(server) => {
                        let _ = say.send(Ok(server.handle()));
                        let _ = server.await;
                    }
                    Err(error) => _ = say.send(Err(error)),
                }
            });
        });
        let server = started.recv().context("the targets' server ended")??;
        Ok(Self { address, state, server, thread: Some(thread) })
    }

    /// Requests of the monitor so far.
    pub(crate) fn asked_by_monitor(&self) -> f64 {
        self.state.monitor.load(Relaxed) as f64
    }

    /// Requests of the baseline so far.
    pub(crate) fn asked_by_baseline(&self) -> f64 {
        self.state.baseline.load(Relaxed) as f64
    }

    /// Listings of tools so far.
    pub(crate) fn listings(&self) -> f64 {
        self.state.listings.load(Relaxed) as f64
    }

    /// From now on this target answers 503.
    pub(crate) fn fail(&self, target: usize) {
        self.state.failing[target].store(true, Relaxed);
    }
}

impl Drop for Targets {
    fn drop(&mut self) {
        rt::System::new().block_on(self.server.stop(false));
        if let Some(thread) = self.thread.take() {
            // A panic of it was reported where it happened.
            let _ = thread.join();
        }
    }
}

async fn monitor(state: Data<State>, target: Path<usize>) -> HttpResponse {
    state.monitor.fetch_add(1, Relaxed);
    answer(&state, *target)
}

async fn baseline(state: Data<State>, target: Path<usize>) -> HttpResponse {
    state.baseline.fetch_add(1, Relaxed);
    answer(&state, *target)
}

fn answer(state: &State, target: usize) -> HttpResponse {
    match state.failing.get(target).map(|failing| failing.load(Relaxed)) {
        Some(false) => HttpResponse::Ok().content_type("text/plain").body("ok\n"),
        Some(true) => HttpResponse::ServiceUnavailable().finish(),
        None => HttpResponse::NotFound().finish(),
    }
}

/// One JSON-RPC message, as a client posts it.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: &'a str,
    params: Option<Value>,
}

/// An MCP server of the revision 2025-11-25 that keeps no sessions.
async fn mcp(state: Data<State>, body: Bytes) -> HttpResponse {
    let Ok(Message { id, method, params }) = serde_json::from_slice(&body) else {
        return HttpResponse::BadRequest().finish();
    };
    let Some(id) = id else { return HttpResponse::Accepted().finish() };
    let result = match method {
        "initialize" => json!({
            "protocolVersion": params.unwrap_or_default()["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "bench", "version": "0"},
        }),
        "ping" => json!({}),
        "tools/list" => {
            state.listings.fetch_add(1, Relaxed);
            json!({"tools": (0..TOOLS).map(tool).collect::<Vec<_>>()})
        }
        _ => {
            let error = json!({"code": -32601, "message": "method not found"});
            return reply(&format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}"));
        }
    };
    reply(&format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}"))
}

fn reply(text: &str) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(text.to_owned())
}

fn tool(number: usize) -> Value {
    let text = json!({"type": "string", "description": "What to look for"});
    let limit = json!({"type": "integer", "minimum": 1, "maximum": 100});
    json!({
        "name": format!("search_catalogue_{number}"),
        "description": "Searches the catalogue and gives the best matches, best first.",
        "inputSchema": {
            "type": "object",
            "properties": {"text": text, "limit": limit},
            "required": ["text"],
        },
    })
}

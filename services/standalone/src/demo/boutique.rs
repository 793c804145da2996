//! The demo's server as something that can be restarted: a child process, and the endpoint at which
//! remediation restarts it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::{Child, ChildError};

/// The path of the endpoint.
const RESTART: &str = "/demo-server/restart";

/// A server that runs, or has run.
#[derive(Debug)]
pub struct Boutique {
    url: String,
    operate_url: String,
    token: String,
    ended: mpsc::Receiver<String>,
    stop: oneshot::Sender<()>,
    tasks: JoinSet<()>,
}

/// Whoever restarts it waits for how that went.
type Restart = oneshot::Sender<Result<(), String>>;

impl Boutique {
    /// Starts the server; `command` says how, with the address it is to listen on.
    ///
    /// # Errors
    /// When it cannot be started, or the endpoint cannot listen.
    pub async fn start(
        command: impl Fn(&str) -> std::io::Result<Command> + Send + Sync + 'static,
    ) -> Result<Self, ChildError> {
        let child = Child::start(command("127.0.0.1:0")?).await?;
        let url = child.url().to_owned();
        let address = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
        let address = address.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let operate_url = format!("http://{}{RESTART}", listener.local_addr()?);
        let token = format!("{:032x}", fastrand::u128(..));
        let (restart, restarts) = mpsc::channel(1);
        let (tell, ended) = mpsc::channel(8);
        let (stop, stopped) = oneshot::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(keep(child, move || command(&address), restarts, tell, stopped));
        let operated = Arc::new(Operated { token: token.clone(), restart, last: Mutex::default() });
        tasks.spawn(async move {
            let routes = Router::new().route(RESTART, post(answer)).with_state(operated);
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "the demo's server cannot be restarted any more");
            }
        });
        Ok(Self { url, operate_url, token, ended, stop, tasks })
    }

    /// The MCP endpoint; a restart does not change it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it is restarted, by POST with the token as Bearer.
    pub fn operate_url(&self) -> &str {
        &self.operate_url
    }

    /// The endpoint's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Waits until the process ends by itself, and says how.
    pub async fn ended(&mut self) -> String {
        match self.ended.recv().await {
            Some(how) => how,
            None => std::future::pending().await,
        }
    }

    /// Lets the process end.
    pub async fn stop(mut self) {
        // Gone already means ended already.
        let _ = self.stop.send(());
        self.tasks.join_next().await;
    }
}

/// Keeps the child, and starts another one when it is told to.
async fn keep(
    child: Child,
    command: impl Fn() -> std::io::Result<Command> + Sync,
    mut restarts: mpsc::Receiver<Restart>,
    tell: mpsc::Sender<String>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut running = Some(child);
    loop {
        let ended = async {
            match running.as_mut() {
                Some(child) => child.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            how = ended => {
                running = None;
                let how = how.map_or_else(|error| error.to_string(), |status| status.to_string());
                // A person who does not look is no reason to wait.
                let _ = tell.try_send(how);
            }
            Some(reply) = restarts.recv() => {
                stop(running.take()).await;
                let started = async { Child::start(command()?).await }.await;
                let result = started.map(|child| running = Some(child)).map_err(|error| error.to_string());
                // Whoever asked may have gone.
                let _ = reply.send(result);
            }
            _ = &mut stopped => break,
        }
    }
    stop(running).await;
}

async fn stop(child: Option<Child>) {
    if let Some(child) = child
        && let Err(error) = child.stop().await
    {
        tracing::error!(%error, "the demo's server could not be stopped");
    }
}

/// What the endpoint needs.
#[derive(Debug)]
struct Operated {
    token: String,
    restart: mpsc::Sender<Restart>,
    /// The greatest fencing number, and the last attempt that was carried out.
    last: Mutex<(u64, String)>,
}

impl Operated {
    fn last(&self) -> MutexGuard<'_, (u64, String)> {
        // Two assignments, each whole by itself.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A restart, unless it was asked for already, or by somebody who has been replaced meanwhile.
async fn answer(operated: State<Arc<Operated>>, headers: HeaderMap) -> (StatusCode, String) {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = header(AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer "));
    if bearer != Some(operated.token.as_str()) {
        return (StatusCode::UNAUTHORIZED, "the token is wrong\n".to_owned());
    }
    let fencing = header("fencing-token").and_then(|number| number.parse::<u64>().ok());
    let (Some(fencing), Some(attempt)) = (fencing, header("idempotency-key")) else {
        let expected = "expected the headers Fencing-Token, a number, and Idempotency-Key\n";
        return (StatusCode::BAD_REQUEST, expected.to_owned());
    };
    {
        let mut last = operated.last();
        if last.1 == attempt {
            return (StatusCode::OK, "it was restarted for this already\n".to_owned());
        }
        if fencing < last.0 {
            return (StatusCode::CONFLICT, format!("number {} was here already\n", last.0));
        }
        last.0 = fencing;
    }
    let (reply, result) = oneshot::channel();
    if operated.restart.send(reply).await.is_err() {
        return (StatusCode::GONE, "the demo is stopping\n".to_owned());
    }
    match result.await {
        Ok(Ok(())) => {
            operated.last().1 = attempt.to_owned();
            (StatusCode::OK, "restarted\n".to_owned())
        }
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        Err(_) => (StatusCode::GONE, "the demo is stopping\n".to_owned()),
    }
}

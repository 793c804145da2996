//! Whether a service is alive, and whether it can do its work: `/health/live`, `/health/ready`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::{HttpResponse, web};
use serde_json::json;

/// The guards that all must be ready before the service is.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    guards: Arc<Mutex<Vec<Arc<Condition>>>>,
}

/// One condition of readiness. Dropping it changes nothing: whoever fails to say that he is
/// ready is not.
#[derive(Debug)]
pub struct Guard(Arc<Condition>);

#[derive(Debug)]
struct Condition {
    name: &'static str,
    ready: AtomicBool,
}

impl Readiness {
    /// Adds a condition, pending at first. The name is shown while it is pending.
    pub fn guard(&self, name: &'static str) -> Guard {
        let ready = AtomicBool::new(false);
        let condition = Arc::new(Condition { name, ready });
        self.lock().push(Arc::clone(&condition));
        Guard(condition)
    }

    /// The names of what is pending, in the order of their guards.
    pub fn pending(&self) -> Vec<&'static str> {
        let guards = self.lock();
        let pending = guards.iter().filter(|guard| !guard.ready.load(Ordering::Acquire));
        pending.map(|guard| guard.name).collect()
    }

    /// Adds both endpoints, for GET and HEAD. Use as
    /// `App::new().configure(|app| readiness.routes(app))`.
    pub fn routes(&self, app: &mut web::ServiceConfig) {
        let answer = {
            let readiness = self.clone();
            move || {
                let answer = readiness.answer();
                async move { answer }
            }
        };
        let live = || async { "ok" };
        app.service(
            web::resource("/health/live").route(web::get().to(live)).route(web::head().to(live)),
        );
        app.service(
            web::resource("/health/ready")
                .route(web::get().to(answer.clone()))
                .route(web::head().to(answer)),
        );
    }

    fn answer(&self) -> HttpResponse {
        let pending = self.pending();
        if pending.is_empty() {
            HttpResponse::Ok().json(json!({ "status": "ready" }))
        } else {
            HttpResponse::ServiceUnavailable()
                .json(json!({ "status": "pending", "pending": pending }))
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Condition>>> {
        // The list is whole at every moment, whatever panicked.
        self.guards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guard {
    /// The condition holds.
    pub fn ready(&self) {
        self.0.ready.store(true, Ordering::Release);
    }

    /// The condition does not hold (any more), as when the service begins to shut down.
    pub fn pending(&self) {
        self.0.ready.store(false, Ordering::Release);
    }
}

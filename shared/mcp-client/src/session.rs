//! A session that is open: cheap to ask again.

use std::time::Duration;

use rmcp::model::{
    ClientRequest, DiscoverRequest, DiscoverRequestParams, PingRequest, ProtocolVersion,
    ServerResult,
};

use crate::Fault;
use crate::child::{Child, END_OF_CHILD};
use crate::connect::{Service, within};
use crate::fault::short;
use crate::resolver::SystemResolver;

/// How long the goodbye may take: what is in flight is given up and the session is deleted.
const GOODBYE: Duration = Duration::from_secs(2);

/// A session with a server. After a fault that is no [`Fault::Rpc`] it is of no more use.
#[derive(Debug)]
pub struct Session {
    service: Service,
    child: Option<Child>,
    server: Server,
    /// That of its HTTP client.
    resolver: SystemResolver,
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name, or nothing.
    pub name: String,
    /// Its version, or nothing.
    pub version: String,
    /// The agreed revision of the protocol, such as `2025-11-25`.
    pub protocol_version: String,
    /// Whether it says that it has tools.
    pub has_tools: bool,
}

impl Session {
    pub(crate) fn new(service: Service, child: Option<Child>, resolver: SystemResolver) -> Self {
        let info = service.peer().peer_info();
        let said = info.as_ref().and_then(|info| info.server_info.as_ref());
        let server = Server {
            name: said.map(|said| short(&said.name)).unwrap_or_default(),
            version: said.map(|said| short(&said.version)).unwrap_or_default(),
            protocol_version: info
                .as_ref()
                .map(|info| short(info.protocol_version.as_str()))
                .unwrap_or_default(),
            has_tools: info.as_ref().is_some_and(|info| info.capabilities.tools.is_some()),
        };
        Self { service, child, server, resolver }
    }

    /// What the server says of itself.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Makes the cheapest request that the revision has: `ping`, or `server/discover`.
    ///
    /// # Errors
    /// What went wrong within `time`.
    pub async fn ping(&mut self, time: Duration) -> Result<(), Fault> {
        let modern = ProtocolVersion::NO_INITIALIZE;
        let (asked, request) = if self.server.protocol_version.as_str() >= modern.as_str() {
            let discover = DiscoverRequest::new(DiscoverRequestParams {});
            ("server/discover", ClientRequest::DiscoverRequest(discover))
        } else {
            ("ping", ClientRequest::PingRequest(PingRequest::default()))
        };
        match self.ask(asked, request, time).await {
            // It knows no such method, and said so: it is there.
            Err(fault) if fault.is_method_not_found() => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Takes leave: deletes the session of an older revision, or ends the program, first by the
    /// end of its input, then by SIGTERM, then by SIGKILL.
    pub async fn close(mut self) {
        // It logs what fails, and there is nothing to be done about it.
        let _ = self.service.close_with_timeout(GOODBYE).await;
        if let Some(child) = self.child.take() {
            child.close().await;
        }
    }

    /// How the server's program ended, if it has.
    pub async fn ended(&mut self) -> Option<Fault> {
        self.child.as_mut()?.ended(Duration::ZERO).await
    }

    pub(crate) async fn ask(
        &mut self,
        asked: &'static str,
        request: ClientRequest,
        time: Duration,
    ) -> Result<ServerResult, Fault> {
        let answer = self.service.peer().send_request(request);
        let error = match within(time, asked, &self.resolver, answer).await? {
            Ok(result) => return Ok(result),
            Err(error) => Fault::of_request(asked, &error),
        };
        match (&error, &mut self.child) {
            (Fault::BadBody(_) | Fault::Other(_), Some(child)) => {
                Err(child.ended(END_OF_CHILD).await.unwrap_or(error))
            }
            _ => Err(error),
        }
    }
}

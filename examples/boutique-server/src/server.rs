//! The MCP server, and in [`Boutique::call_tool`] the instrumentation: the part to copy.

use std::sync::Arc;
use std::time::Duration;

use mcpmon_sdk::label::{Method, ProtocolVersion};
use mcpmon_sdk::{Ending, Event, Monitor, Outcome};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, DiscoverResult, Implementation,
    InitializeRequestParams, InitializeResult, ListToolsResult, PaginatedRequestParams,
    ProtocolVersion as Version, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::connections::Connection;
use crate::failure::Failure;
use crate::simulation::Simulation;
use crate::tools::{self, Work, Workshop};

/// What all connections share.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) monitor: Monitor,
    pub(crate) simulation: Simulation,
    pub(crate) workshop: Workshop,
}

/// The handler of one connection.
#[derive(Debug)]
pub(crate) struct Boutique {
    house: Arc<House>,
    connection: Connection,
}

impl Boutique {
    pub(crate) fn new(house: Arc<House>, connection: Connection) -> Self {
        Self { house, connection }
    }

    /// Records a request that is no tool call, and passes its answer on.
    fn operation<T>(
        &self,
        method: Method,
        begun: Instant,
        version: Option<&Version>,
        answer: Result<T, ErrorData>,
    ) -> Result<T, ErrorData> {
        self.house.monitor.record(Event::Operation {
            method,
            outcome: outcome(&answer),
            duration: begun.elapsed().into(),
            transport: self.connection.transport(),
            protocol_version: version.map(|version| ProtocolVersion::named(version.as_str())),
        });
        answer
    }
}

impl ServerHandler for Boutique {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new(crate::NAME, crate::VERSION))
            .with_instructions("A fashion boutique. An example: all work is simulated.")
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::list().into_iter().find(|tool| tool.name == name)
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        let begun = Instant::now();
        context.peer.set_peer_info(request.clone());
        let answer = self.negotiate_initialize(&request);
        self.operation(Method::Initialize, begun, Some(&request.protocol_version), answer)
    }

    async fn discover(
        &self,
        context: RequestContext<RoleServer>,
    ) -> Result<DiscoverResult, ErrorData> {
        let begun = Instant::now();
        let versions = self.supported_protocol_versions().into_owned();
        let answer = DiscoverResult::from_server_info(versions, self.get_info());
        self.operation(Method::Discover, begun, context.protocol_version().as_ref(), Ok(answer))
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let begun = Instant::now();
        let answer = ListToolsResult::with_all_items(tools::list());
        self.operation(Method::ToolsList, begun, context.protocol_version().as_ref(), Ok(answer))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let House { monitor, simulation, workshop } = &*self.house;
        let tool = request.name.clone();
        let bytes = json_bytes(&request);
        let protocol = context.protocol_version();
        let given_up = given_up(context.ct, simulation.millis(tools::deadline(&tool)));
        tokio::pin!(given_up);

        // Accepted: until a place is free, the call is part of mcp_queue_depth.
        let queued = monitor.queued(&tool);
        let place = tokio::select! {
            place = workshop.place(&tool) => Ok(place),
            failure = &mut given_up => Err(failure),
        };

        // Started: the guard counts and times the call, and keeps it in mcp_tool_inflight.
        let mut call = queued.start();
        call.request_bytes(bytes).transport(self.connection.transport());
        if let Some(version) = protocol {
            call.protocol_version(ProtocolVersion::named(version.as_str()));
        }
        let ended = async {
            let _place = place?;
            let work = Work { monitor, simulation, fate: simulation.fate() };
            tokio::select! {
                ended = tools::run(work, &tool, request.arguments) => ended,
                failure = &mut given_up => Err(failure),
            }
        };

        // Ended: exactly one word, or else it counts as cancelled.
        match ended.await {
            Ok(done) => {
                let reply =
                    CallToolResult::structured(json!({ "simulated": true, "result": done }));
                call.response_bytes(json_bytes(&reply));
                call.success();
                Ok(reply.into())
            }
            Err(failure) => {
                failure.record(monitor, &tool, call);
                failure.into_reply()
            }
        }
    }
}

/// How a request with that answer is counted.
fn outcome<T>(answer: &Result<T, ErrorData>) -> Outcome {
    let ending = match answer {
        Ok(_) => Ending::Result { is_error: false },
        Err(error) => {
            Ending::RpcError { code: error.code.0.into(), message: error.message.as_ref() }
        }
    };
    ending.into()
}

/// Why a call has to end before its work does.
async fn given_up(cancelled: CancellationToken, deadline: Duration) -> Failure {
    match tokio::time::timeout(deadline, cancelled.cancelled()).await {
        Ok(()) => Failure::Cancelled,
        Err(_) => Failure::Timeout,
    }
}

/// The size of a value on the wire. A handler sees values and not messages, so the JSON-RPC
/// envelope of some 40 bytes is missing; `mcp-tap` sees it too.
fn json_bytes(value: &impl Serialize) -> u64 {
    serde_json::to_vec(value).map_or(0, |bytes| bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use mcpmon_sdk::label::{ErrorType, Reason};

    use super::*;

    #[test]
    fn a_refused_request_is_no_success() {
        let refused = |error| outcome::<()>(&Err(error));
        let invalid = refused(ErrorData::invalid_params("which version?", None));
        assert_eq!(invalid, Outcome::Error(ErrorType::ValidationError, Reason::InvalidParams));
        let broken = refused(ErrorData::internal_error("out of paper", None));
        assert_eq!(broken, Outcome::Error(ErrorType::RpcError, Reason::Internal));
        assert_eq!(outcome(&Ok(())), Outcome::Success);
    }
}

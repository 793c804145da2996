//! The MCP server: what any server needs to have, and nothing more.

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::json;

use crate::tools::{self, Trouble, Workroom};

/// The handler of one connection.
#[derive(Debug)]
pub(crate) struct Atelier {
    workroom: Arc<Workroom>,
}

impl Atelier {
    pub(crate) fn new(workroom: Arc<Workroom>) -> Self {
        Self { workroom }
    }
}

impl ServerHandler for Atelier {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new(
                env!("CARGO_PKG_NAME"),
                env!("CARGO_PKG_VERSION"),
            ))
            .with_instructions("A tailor's atelier. An example: all work is simulated.")
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::list()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        match self.workroom.work_on(&request.name, request.arguments).await {
            Ok(done) => {
                Ok(CallToolResult::structured(json!({ "simulated": true, "result": done })).into())
            }
            Err(wrong @ (Trouble::UnknownTool | Trouble::Arguments(_))) => {
                let simulated = Some(json!({ "simulated": true }));
                Err(ErrorData::invalid_params(wrong.to_string(), simulated))
            }
            Err(trouble) => {
                let said = json!({ "simulated": true, "error": trouble.to_string() });
                Ok(CallToolResult::structured_error(said).into())
            }
        }
    }
}

//! rmcp's own sessions, except that a call learns which event stream its answer goes out on, so
//! that `test_reconnection` can close it. The client then resumes the stream with `Last-Event-ID`.

use std::future::Future;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::poll_fn;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_server::session::local::{
    LocalSessionHandle, LocalSessionManager, LocalSessionManagerError,
};
use rmcp::transport::streamable_http_server::session::{
    ServerSseMessage, SessionId, SessionManager,
};

/// How long a client is told to wait before it resumes a stream.
pub(crate) const RETRY: Duration = Duration::from_millis(300);

/// The event stream of the POST that a request came in.
#[derive(Debug, Clone)]
pub(crate) struct EventStream {
    session: LocalSessionHandle,
    id: u64,
}

impl EventStream {
    /// Ends the response; what is still said is kept for the client that resumes it.
    pub(crate) async fn close(&self) {
        // A session that is gone has no stream that could be open.
        let _ = self.session.close_sse_stream(self.id, Some(RETRY)).await;
    }
}

#[derive(Debug)]
pub(crate) struct Sessions(LocalSessionManager);

impl Sessions {
    pub(crate) fn new() -> Self {
        let mut sessions = LocalSessionManager::default();
        sessions.session_config.sse_retry = Some(RETRY);
        Self(sessions)
    }
}

impl SessionManager for Sessions {
    type Error = LocalSessionManagerError;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_stream(
        &self,
        id: &SessionId,
        mut message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let session = self.0.sessions.read().await.get(id).cloned();
        let session =
            session.ok_or_else(|| LocalSessionManagerError::SessionNotFound(id.clone()))?;
        let mut stream = session.establish_request_wise_channel().await?;
        let stream_id = stream.http_request_id;
        if let Some(id) = stream_id {
            message.insert_extension(EventStream { session: session.clone(), id });
        }
        session.push_message(message, stream_id).await?;
        Ok(poll_fn(move |context| stream.inner.poll_recv(context)))
    }

    fn create_session(
        &self,
    ) -> impl Future<Output = Result<(SessionId, Self::Transport), Self::Error>> + Send {
        self.0.create_session()
    }

    fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<ServerJsonRpcMessage, Self::Error>> + Send {
        self.0.initialize_session(id, message)
    }

    fn has_session(
        &self,
        id: &SessionId,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send {
        self.0.has_session(id)
    }

    fn close_session(
        &self,
        id: &SessionId,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        self.0.close_session(id)
    }

    fn accept_message(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        self.0.accept_message(id, message)
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.0.create_standalone_stream(id).await
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.0.resume(id, last_event_id).await
    }
}
